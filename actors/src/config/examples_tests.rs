//! The configurations that people copy: each one loads, and nothing in it is refused, doubtful or without effect.

use std::path::{Path, PathBuf};

use super::env::Env;
use super::handle::Snapshot;
use super::load;
use super::paths::{self, PathInputs};
use super::settings::GatewayMode;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config-examples");

/// What the examples take from the environment.
const VARIABLES: [(&str, &str); 5] = [
    ("OPENCLAW_GATEWAY_TOKEN", "t"),
    ("OPENCLAW_GATEWAY_PASSWORD", "p"),
    ("INHOUSE_API_KEY", "k"),
    ("SHOP_SECRET", "s"),
    ("TELEGRAM_BOT_TOKEN", "7000000001:AAE-token"),
];

/// Files of one situation each: those of the folder, and of each folder in it. Deeper ones are parts. A gateway that
/// was started with an example leaves other files beside it.
fn examples() -> Vec<PathBuf> {
    let entries = |dir: &Path| -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let (folders, mut found): (Vec<PathBuf>, Vec<PathBuf>) =
        entries(Path::new(FOLDER)).into_iter().partition(|path| path.is_dir());
    found.extend(folders.iter().flat_map(|folder| entries(folder)));
    found.retain(|path| path.extension().is_some_and(|extension| extension == "json5"));
    found
}

fn load_file(file: &Path) -> Snapshot {
    let home = tempfile::tempdir().unwrap();
    let mut env = Env::from_iter(VARIABLES);
    env.add("HOME", home.path().to_str().unwrap());
    env.add("OPENCLAW_CONFIG_PATH", file.to_str().unwrap());
    let inputs = PathInputs { cwd: home.path().to_owned(), ..PathInputs::default() };
    let paths = paths::resolve(&inputs, &env).unwrap();
    load::load(&paths, &env).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn assert_silent(file: &Path, snapshot: &Snapshot) {
    assert!(snapshot.exists && snapshot.path.ends_with(file.file_name().unwrap()), "{}", file.display());
    assert!(snapshot.settings.gateway.mode.is_some(), "{}: no gateway.mode", file.display());
    for (kind, issues) in
        [("warning", &snapshot.warnings), ("note", &snapshot.notes), ("start block", &snapshot.start_blocks)]
    {
        assert!(issues.is_empty(), "{}: {kind}: {issues:?}", file.display());
    }
}

#[test]
fn every_example_loads_without_a_warning_or_a_key_that_does_nothing() {
    let examples = examples();
    assert!(examples.len() >= 10, "examples are missing: {examples:?}");
    for file in examples {
        assert_silent(&file, &load_file(&file));
    }
}

/// The configurations that the first page of the project shows.
#[test]
fn the_configuration_of_the_readme_loads() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let blocks: Vec<&str> = readme.split("```json5").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("openclaw.json");
        crate::files::replace(&file, block.as_bytes()).unwrap();
        assert_silent(&file, &load_file(&file));
    }
}

#[test]
fn an_example_in_parts_means_the_whole() {
    let snapshot = load_file(&Path::new(FOLDER).join("split/openclaw.json5"));
    assert_eq!(snapshot.settings.gateway.mode, Some(GatewayMode::Local));
    assert_eq!(snapshot.settings.models.providers.keys().collect::<Vec<_>>(), ["inhouse", "ollama"]);
    assert_eq!(snapshot.settings.agents.list[0].id, "main");
    assert_eq!(snapshot.includes.len(), 4);
}
