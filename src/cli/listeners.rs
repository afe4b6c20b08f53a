//! Who listens on a port of this host, as far as this user may see it.
//!
//! Reads `/proc`; elsewhere nothing is found, and callers say "unknown" by saying nothing.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

/// One listening socket and its process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    pub pid: u32,
    pub ppid: u32,
    /// Name of the program.
    pub command: String,
    pub command_line: String,
    pub user: String,
    /// `127.0.0.1:18789`
    pub address: String,
}

impl Listener {
    pub fn json(&self) -> Value {
        json!({
            "pid": self.pid, "command": self.command, "address": self.address,
            "commandLine": self.command_line, "user": self.user, "ppid": self.ppid,
        })
    }

    /// `- pid 42 root: openclaw (127.0.0.1:18789)`
    pub fn text(&self) -> String {
        format!("- pid {} {}: {} ({})", self.pid, self.user, self.command, self.address)
    }
}

/// The listening addresses on a port, and their processes where they can be seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortUse {
    pub addresses: Vec<String>,
    pub listeners: Vec<Listener>,
}

impl PortUse {
    pub fn busy(&self) -> bool {
        !self.addresses.is_empty()
    }
}

/// Looks at one port now.
pub fn on_port(port: u16) -> PortUse {
    let table = |name: &str| fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default();
    let sockets: BTreeMap<u64, IpAddr> =
        listening(&table("tcp"), port).into_iter().chain(listening(&table("tcp6"), port)).collect();
    let address = |ip: &IpAddr| std::net::SocketAddr::new(*ip, port).to_string();
    let listeners = if sockets.is_empty() { Vec::new() } else { owners(&sockets, &address) };
    PortUse { addresses: sockets.values().map(address).collect(), listeners }
}

/// Inode and address of the sockets of a `/proc/net/tcp` table that listen on a port.
fn listening(table: &str, port: u16) -> Vec<(u64, IpAddr)> {
    const LISTEN: &str = "0A";
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (ip, its_port) = fields.get(1)?.split_once(':')?;
        let matches = u16::from_str_radix(its_port, 16).ok()? == port && *fields.get(3)? == LISTEN;
        matches.then_some((fields.get(9)?.parse().ok()?, address(ip)?))
    };
    table.lines().skip(1).filter_map(row).collect()
}

/// The kernel prints each 32-bit word of an address as a number of the host.
fn address(hex: &str) -> Option<IpAddr> {
    let words = hex.as_bytes().chunks(8).map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok());
    let bytes: Vec<u8> = words.collect::<Option<Vec<u32>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect();
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
        16 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

/// The processes that hold one of the sockets; those of other users are visible to root only.
fn owners(sockets: &BTreeMap<u64, IpAddr>, address: &dyn Fn(&IpAddr) -> String) -> Vec<Listener> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut found = Vec::new();
    for pid in pids {
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue }; // gone, or another user's
        let held = files.flatten().filter_map(|file| inode(fs::read_link(file.path()).ok()?.to_str()?));
        found.extend(held.filter_map(|inode| sockets.get(&inode)).map(|ip| process(pid, address(ip))));
    }
    found
}

/// The inode in `socket:[123]`.
fn inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn process(pid: u32, address: String) -> Listener {
    let file = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let status = file("status");
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    let user = fs::metadata(format!("/proc/{pid}")).map(|meta| user_name(meta.uid())).unwrap_or_default();
    Listener {
        pid,
        ppid: field("PPid:").parse().unwrap_or(0),
        command: field("Name:").to_owned(),
        command_line: file("cmdline").replace('\0', " ").trim_end().to_owned(),
        user,
        address,
    }
}

fn user_name(uid: u32) -> String {
    let user = nix::unistd::User::from_uid(uid.into()).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn only_listening_sockets_of_the_port_count() {
        let loopback = format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]));
        let table = format!(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: {loopback}:4965 00000000:0000 0A 0:0 00:0 0 0 0 777 1\n\
             1: {loopback}:4965 {loopback}:C000 01 0:0 00:0 0 0 0 778 1\n\
             2: {loopback}:4966 00000000:0000 0A 0:0 00:0 0 0 0 779 1\n"
        );
        assert_eq!(listening(&table, 0x4965), [(777, IpAddr::V4(Ipv4Addr::LOCALHOST))]);
    }

    #[test]
    fn a_long_address_is_the_newer_kind() {
        let words = [0, 0, 0, 1].map(|word: u32| format!("{:08X}", u32::from_ne_bytes(word.to_be_bytes())));
        assert_eq!(address(&words.concat()), Some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        assert_eq!(address("zz"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_socket_of_this_process_is_found_with_its_process() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let found = on_port(socket.local_addr().unwrap().port());
        assert!(found.busy());
        assert!(found.listeners.iter().any(|listener| listener.pid == std::process::id()), "{found:?}");
    }
}
