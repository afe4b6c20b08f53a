//! The directions in which the parts of the project may know each other, read from their sources.

use std::fs;
use std::path::{Path, PathBuf};

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All source files below a folder.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

/// Code lines of a folder that contain one of the words.
fn mentions(folder: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let sources = sources(&project().join(folder));
    assert!(!sources.is_empty(), "{folder} has no sources: has the layout changed?");
    for (path, text) in sources {
        for (number, line) in text.lines().enumerate() {
            let is_code = !line.trim_start().starts_with("//");
            if is_code && words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn folders_know_only_what_they_may() {
    for (folder, forbidden) in [
        // the frames are data: whoever speaks the protocol needs nothing else of ours
        ("actors/src/protocol", &["crate::", "super::super::super"][..]),
        // the tree knows neither the front end nor its libraries
        ("actors/src", &["use openclaw::", "axum", "clap::", "tokio_tungstenite", "anstream", "comfy_table"]),
        // the client of the socket is used by commands and by the gateway, and knows neither
        ("src/client", &["crate::cli", "crate::gateway"]),
        // a command reaches a gateway through its socket, not through its memory; `gateway run` is what starts one
        ("src/gateway/rpc", &["crate::cli"]),
        ("src/gateway/ws", &["crate::cli"]),
        ("src/gateway/http", &["crate::cli"]),
        // supervision serves every actor and knows none
        ("actors/src/supervision", &["crate::session", "crate::run", "crate::store", "crate::events", "crate::config"]),
        // plain libraries
        ("actors/src/model", &["crate::session", "crate::run", "crate::store", "crate::supervision::Actor", "ractor"]),
        ("actors/src/transcript", &["crate::session::actor", "crate::run::actor", "ractor"]),
    ] {
        assert_eq!(mentions(folder, forbidden), Vec::<String>::new(), "{folder} must not know {forbidden:?}");
    }
}

/// Otherwise its handlers would hold the runtime up without being named.
#[test]
fn actors_are_started_by_supervision_alone() {
    let found: Vec<String> = ["actors/src", "src"]
        .iter()
        .flat_map(|folder| mentions(folder, &["::spawn_linked(", "::spawn(None"]))
        .filter(|line| !line.contains("supervision/stall.rs") && !line.contains("tests.rs:"))
        .collect();
    assert_eq!(found, Vec::<String>::new(), "use supervision::spawn_linked");
}

#[test]
fn an_actor_says_who_looks_after_it() {
    let mut actors = 0;
    for folder in ["actors/src", "src/gateway"] {
        for (path, text) in sources(&project().join(folder)) {
            if path.file_name().is_none_or(|name| name != "actor.rs") || !text.contains("impl Actor for") {
                continue;
            }
            actors += 1;
            let cover = fs::read_to_string(path.with_file_name("mod.rs")).unwrap();
            let says = |text: &str| {
                let mut header = text.lines().take_while(|line| line.starts_with("//!"));
                header.any(|line| ["parent: ", "children: ", "restart: "].iter().all(|word| line.contains(word)))
            };
            assert!(says(&cover) || says(&text), "{}: no line `parent · children · restart`", path.display());
        }
    }
    assert!(actors >= 7, "only {actors} actors were found: has the layout changed?");
}

#[test]
fn faults_can_be_injected_only_with_the_feature() {
    for folder in ["actors/src", "src"] {
        for (path, text) in sources(&project().join(folder)) {
            let lines: Vec<&str> = text.lines().collect();
            for (number, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("panic!(\"injected\")")) {
                let is_test = path.ends_with("tests.rs") || lines[..number].contains(&"#[cfg(test)]");
                let above = number.checked_sub(1).map(|above| lines[above].trim()).unwrap_or_default();
                let whole_module = path.ends_with("actors/src/fault.rs"); // declared behind the feature
                let guarded = is_test || whole_module || above == r#"#[cfg(feature = "fault-injection")]"#;
                assert!(guarded, "{}:{}: {line}", path.display(), number + 1);
            }
        }
    }
}
