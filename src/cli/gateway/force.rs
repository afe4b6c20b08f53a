//! `openclaw gateway --force`: frees the port before the start, if a gateway of this user holds it.
//!
//! Invariant: nothing is ended that does not prove to be such a gateway. The proof is the lock of a state directory: the
//! process has it open, and it names this very process and this port. Source: command line specification §2.3.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::getuid;
use tokio::time::Instant;

use super::check::Listen;
use super::life;
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::listeners::{self, Listener, PortUse};
use crate::client::LockOwner;
use crate::client::lock_owner;

/// How long the gateway may stop in order. A second SIGTERM then tells it not to wait for its running turns.
const ORDERLY: Duration = Duration::from_millis(700);
/// How long it may take after that, before it is killed.
const AT_ONCE: Duration = Duration::from_millis(4_300);
/// How long the kernel may take to clear a killed process away.
const KILLED: Duration = Duration::from_secs(2);

/// Frees the port, or says who holds it.
pub fn free(context: &Context, listen: &Listen) -> Result<(), Failure> {
    let port = listen.port;
    match judge(&holders(listen), port, &prove) {
        Verdict::Free => {
            context.output.note(format!("force: no listeners on port {port}"));
            Ok(())
        }
        Verdict::Foreign(failure) => Err(*failure),
        Verdict::Gateways(found) => context.block_on(end(context, listen, &found))?,
    }
}

/// A gateway that holds the port, as its process and as its lock shows it.
#[derive(Debug, PartialEq)]
struct Proven {
    listener: Listener,
    owner: LockOwner,
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Free,
    Gateways(Vec<Proven>),
    Foreign(Box<Failure>),
}

/// What may be done about those who hold the port. One foreigner among them is enough to leave all alone.
fn judge(usage: &PortUse, port: u16, prove: &dyn Fn(&Listener, u16) -> Option<LockOwner>) -> Verdict {
    if !usage.busy() {
        return Verdict::Free;
    }
    let (mut proven, mut foreign) = (Vec::<Proven>::new(), Vec::new());
    for listener in &usage.listeners {
        match prove(listener, port) {
            Some(_) if proven.iter().any(|known| known.listener.pid == listener.pid) => {}
            Some(owner) => proven.push(Proven { listener: listener.clone(), owner }),
            None => foreign.push(listener.text()),
        }
    }
    if foreign.is_empty() && !proven.is_empty() {
        return Verdict::Gateways(proven);
    }
    let first = Failure::error(format!(
        "--force ends only an OpenClaw gateway of this user, and port {port} is held by something else"
    ));
    let failure = match foreign.as_slice() {
        [] => first.line(format!("The process behind port {port} belongs to another user.")),
        lines => lines.iter().fold(first, Failure::line),
    };
    Verdict::Foreign(Box::new(failure.line("End it yourself, or choose another port with --port.")))
}

/// Those whose address stands in the way of ours.
fn holders(listen: &Listen) -> PortUse {
    let usage = listeners::on_port(listen.port);
    let collides =
        |address: &str| address.parse().is_ok_and(|address: SocketAddr| in_the_way(&listen.hosts, address.ip()));
    PortUse {
        addresses: usage.addresses.into_iter().filter(|address| collides(address)).collect(),
        listeners: usage.listeners.into_iter().filter(|listener| collides(&listener.address)).collect(),
    }
}

fn in_the_way(hosts: &[IpAddr], theirs: IpAddr) -> bool {
    theirs.is_unspecified() || hosts.iter().any(|host| host.is_unspecified() || *host == theirs)
}

/// The lock that proves a listener to be a gateway of this user on this port.
fn prove(listener: &Listener, port: u16) -> Option<LockOwner> {
    let process = format!("/proc/{}", listener.pid);
    if fs::metadata(&process).ok()?.uid() != getuid().as_raw() {
        return None;
    }
    let open = fs::read_dir(format!("{process}/fd")).ok()?.flatten();
    let locks = open
        .filter_map(|file| fs::read_link(file.path()).ok())
        .filter(|path| path.file_name().is_some_and(|name| name == lock_owner::FILE));
    locks.filter_map(|path| LockOwner::in_file(&path)).find(|owner| owner.pid == listener.pid && owner.port == port)
}

/// Ends them: in order, then at once, then by force.
async fn end(context: &Context, listen: &Listen, found: &[Proven]) -> Result<(), Failure> {
    let (port, since) = (listen.port, Instant::now());
    let gone = || found.iter().all(|one| !one.owner.lives()) && !holders(listen).busy();
    for one in found {
        life::signal(&one.owner, Signal::SIGTERM)?;
        let Listener { pid, command, .. } = &one.listener;
        context.output.note(format!("force: killed pid {pid} ({command}) on port {port}"));
        if one.owner.supervised {
            context.output.note("force: a service manager started it and may start it again; stop it there");
        }
    }
    if !life::until(ORDERLY, gone).await {
        found.iter().try_for_each(|one| life::signal(&one.owner, Signal::SIGTERM))?;
        if !life::until(AT_ONCE, gone).await {
            found.iter().try_for_each(|one| life::signal(&one.owner, Signal::SIGKILL))?;
            context.output.note(format!("force: escalated to SIGKILL while freeing port {port}"));
            if !life::until(KILLED, gone).await {
                return Err(Failure::error(format!("port {port} is still held after SIGKILL")));
            }
        }
    }
    context.output.note(format!("force: waited {}ms for port {port} to free", since.elapsed().as_millis()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

    use super::*;

    fn listener(pid: u32) -> Listener {
        Listener {
            pid,
            ppid: 1,
            command: "openclaw".into(),
            command_line: "openclaw gateway".into(),
            user: "me".into(),
            address: "127.0.0.1:5".into(),
        }
    }

    fn owner(pid: u32) -> LockOwner {
        LockOwner { pid, start_time: Some(1), created_at: 0, port: 5, config_path: "c".into(), supervised: false }
    }

    /// Odd pids can prove themselves.
    fn verdict(addresses: &[&str], pids: &[u32]) -> Verdict {
        let usage = PortUse {
            addresses: addresses.iter().copied().map(str::to_owned).collect(),
            listeners: pids.iter().copied().map(listener).collect(),
        };
        judge(&usage, 5, &|listener, _| (listener.pid % 2 == 1).then(|| owner(listener.pid)))
    }

    #[test]
    fn only_what_proves_itself_is_ended_and_a_name_is_no_proof() {
        let here = ["127.0.0.1:5"];
        assert_eq!(verdict(&[], &[]), Verdict::Free);
        let pids = |verdict: Verdict| match verdict {
            Verdict::Gateways(found) => found.iter().map(|one| one.owner.pid).collect::<Vec<u32>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(pids(verdict(&here, &[7])), [7]);
        assert_eq!(pids(verdict(&here, &[7, 7, 9])), [7, 9], "two sockets of one process");
        for (pids, text) in [(&[8][..], "- pid 8 me: openclaw"), (&[7, 8], "- pid 8"), (&[], "another user")] {
            let Verdict::Foreign(failure) = verdict(&here, pids) else { panic!("{pids:?}") };
            assert!(failure.lines.iter().any(|line| line.contains(text)), "{failure:?}");
        }
    }

    #[test]
    fn an_address_beside_ours_is_not_in_the_way() {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
        assert!(in_the_way(&loopback, Ipv4Addr::LOCALHOST.into()));
        assert!(in_the_way(&loopback, Ipv6Addr::UNSPECIFIED.into()));
        assert!(!in_the_way(&loopback, Ipv4Addr::new(10, 0, 0, 7).into()));
        assert!(in_the_way(&[Ipv4Addr::UNSPECIFIED.into()], Ipv4Addr::new(10, 0, 0, 7).into()));
    }

    #[test]
    fn a_program_without_a_lock_proves_nothing() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let usage = listeners::on_port(port);
        assert!(matches!(judge(&usage, port, &prove), Verdict::Foreign(_)));
    }
}
