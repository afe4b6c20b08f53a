//! The configurations that people copy: each one loads, and nothing in it is refused, doubtful or without effect.

use std::path::{Path, PathBuf};

use super::env::Env;
use super::load;
use super::paths::{self, PathInputs};
use super::settings::GatewayMode;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config-examples");

/// What the examples take from the environment.
const VARIABLES: [(&str, &str); 3] =
    [("OPENCLAW_GATEWAY_TOKEN", "t"), ("OPENCLAW_GATEWAY_PASSWORD", "p"), ("INHOUSE_API_KEY", "k")];

/// Files of one situation each: those of the folder, and the one of each folder in it. Deeper ones are parts.
fn examples() -> Vec<PathBuf> {
    let files = |dir: &Path| -> Vec<PathBuf> {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries
    };
    let is_example = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json5");
    let (folders, mut found): (Vec<PathBuf>, Vec<PathBuf>) =
        files(Path::new(FOLDER)).into_iter().partition(|path| path.is_dir());
    found.extend(folders.iter().flat_map(|folder| files(folder)).filter(|path| !path.is_dir()));
    assert!(found.iter().all(is_example), "something else than an example: {found:?}");
    found
}

#[test]
fn every_example_loads_without_a_warning_or_a_key_that_does_nothing() {
    let examples = examples();
    assert!(examples.len() >= 10, "examples are missing: {examples:?}");
    for file in examples {
        let home = tempfile::tempdir().unwrap();
        let mut env = Env::from_iter(VARIABLES);
        env.add("HOME", home.path().to_str().unwrap());
        env.add("OPENCLAW_CONFIG_PATH", file.to_str().unwrap());
        let inputs = PathInputs { cwd: home.path().to_owned(), ..PathInputs::default() };
        let paths = paths::resolve(&inputs, &env).unwrap();
        let snapshot = load::load(&paths, &env).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(snapshot.exists && snapshot.path.ends_with(file.file_name().unwrap()), "{}", file.display());
        assert!(snapshot.settings.gateway.mode.is_some(), "{}: no gateway.mode", file.display());
        for (kind, issues) in
            [("warning", &snapshot.warnings), ("note", &snapshot.notes), ("start block", &snapshot.start_blocks)]
        {
            assert!(issues.is_empty(), "{}: {kind}: {issues:?}", file.display());
        }
    }
}

#[test]
fn an_example_in_parts_means_the_whole() {
    let home = tempfile::tempdir().unwrap();
    let mut env = Env::from_iter(VARIABLES);
    env.add("HOME", home.path().to_str().unwrap());
    env.add("OPENCLAW_CONFIG_PATH", format!("{FOLDER}/split/openclaw.json5"));
    let inputs = PathInputs { cwd: home.path().to_owned(), ..PathInputs::default() };
    let snapshot = load::load(&paths::resolve(&inputs, &env).unwrap(), &env).unwrap();
    assert_eq!(snapshot.settings.gateway.mode, Some(GatewayMode::Local));
    assert_eq!(snapshot.settings.models.providers.keys().collect::<Vec<_>>(), ["inhouse", "ollama"]);
    assert_eq!(snapshot.settings.agents.list[0].id, "main");
    assert_eq!(snapshot.includes.len(), 4);
}
