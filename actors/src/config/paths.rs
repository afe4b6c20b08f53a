//! Where home, state, configuration and workspace are.
//!
//! Explicit variables win over the profile: a profile only fills what is unset.
//! Source: command reference of 2026.5.12, paths and profiles; `config.json` and `--config` are additions.

use std::path::{Path, PathBuf};

use super::env::Env;

/// Port without any setting.
pub const PORT_DEFAULT: u16 = 18_789;
/// Port of `--dev` without any setting.
pub const PORT_DEV: u16 = 19_001;

/// What the command line and the process say about paths.
#[derive(Debug, Clone, Default)]
pub struct PathInputs {
    /// `--profile <name>`
    pub profile: Option<String>,
    /// `--dev`
    pub dev: bool,
    /// `--config <path>`
    pub config: Option<String>,
    /// Base of relative paths; absolute.
    pub cwd: PathBuf,
}

/// How the configuration file was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigOrigin {
    /// `--config` or `OPENCLAW_CONFIG_PATH`.
    Explicit,
    /// `<state>/openclaw.json`, present or not.
    Standard,
    /// `<state>/openclaw.json`, while `<state>/config.json` exists too and is not read.
    StandardBesideOther,
    /// `<state>/config.json`, the only one there.
    OtherName,
}

/// The resolved places; all absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    pub home: PathBuf,
    pub state_dir: PathBuf,
    pub config_path: PathBuf,
    pub config_origin: ConfigOrigin,
    /// Workspace of the default agent when the configuration names none.
    pub workspace_default: PathBuf,
    /// `None` for the default profile.
    pub profile: Option<String>,
    /// Port when neither flag, environment nor configuration names one.
    pub port_default: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("Cannot combine --dev with --profile")]
    DevAndProfile,
    #[error("--profile requires a value")]
    EmptyProfile,
    #[error("Invalid profile \"{0}\": use letters, digits, \"_\" and \"-\"")]
    BadProfile(String),
    #[error("no home directory: set HOME or OPENCLAW_HOME")]
    NoHome,
}

/// Resolves all places; looks only at which configuration file exists.
pub fn resolve(inputs: &PathInputs, env: &Env) -> Result<Paths, PathError> {
    resolve_with(inputs, env, Path::exists)
}

fn resolve_with(inputs: &PathInputs, env: &Env, exists: impl Fn(&Path) -> bool) -> Result<Paths, PathError> {
    let profile = profile(inputs, env)?;
    let home = home(inputs, env)?;
    let absolute = |text: &str| inputs.cwd.join(expand_tilde(text, &home));
    let suffix = profile.as_ref().map(|p| format!("-{p}")).unwrap_or_default();
    let state_dir = match env.non_empty("OPENCLAW_STATE_DIR") {
        Some(dir) => absolute(dir),
        None => home.join(format!(".openclaw{suffix}")),
    };
    let explicit = inputs.config.as_deref().or_else(|| env.non_empty("OPENCLAW_CONFIG_PATH"));
    let (config_path, config_origin) = match explicit {
        Some(path) => (absolute(path), ConfigOrigin::Explicit),
        None => standard_config(&state_dir, exists),
    };
    Ok(Paths {
        workspace_default: home.join(".openclaw").join(format!("workspace{suffix}")),
        home,
        state_dir,
        config_path,
        config_origin,
        profile,
        port_default: if inputs.dev { PORT_DEV } else { PORT_DEFAULT },
    })
}

/// `~` and `~/x` as a path below `home`; anything else unchanged.
pub fn expand_tilde(text: &str, home: &Path) -> PathBuf {
    match text.strip_prefix('~') {
        Some("") => home.to_owned(),
        Some(rest) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(text),
    }
}

fn profile(inputs: &PathInputs, env: &Env) -> Result<Option<String>, PathError> {
    let name = match (&inputs.profile, inputs.dev) {
        (Some(_), true) => return Err(PathError::DevAndProfile),
        (Some(name), false) => name.trim(),
        (None, true) => "dev",
        (None, false) => env.non_empty("OPENCLAW_PROFILE").unwrap_or("default"),
    };
    if name.is_empty() {
        return Err(PathError::EmptyProfile);
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
        return Err(PathError::BadProfile(name.to_owned()));
    }
    Ok((name != "default").then(|| name.to_owned()))
}

fn home(inputs: &PathInputs, env: &Env) -> Result<PathBuf, PathError> {
    let system = env.non_empty("HOME").or_else(|| env.non_empty("USERPROFILE"));
    let home = match (env.non_empty("OPENCLAW_HOME"), system) {
        (Some(own), Some(system)) => expand_tilde(own, Path::new(system)),
        (Some(own), None) if !own.starts_with('~') => PathBuf::from(own),
        (None, Some(system)) => PathBuf::from(system),
        _ => return Err(PathError::NoHome),
    };
    Ok(inputs.cwd.join(home))
}

fn standard_config(state_dir: &Path, exists: impl Fn(&Path) -> bool) -> (PathBuf, ConfigOrigin) {
    let standard = state_dir.join("openclaw.json");
    let other = state_dir.join("config.json");
    match (exists(&standard), exists(&other)) {
        (false, true) => (other, ConfigOrigin::OtherName),
        (true, true) => (standard, ConfigOrigin::StandardBesideOther),
        _ => (standard, ConfigOrigin::Standard),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(profile: Option<&str>, dev: bool, config: Option<&str>, env: &[(&str, &str)]) -> Result<Paths, PathError> {
        let inputs = PathInputs {
            profile: profile.map(str::to_owned),
            dev,
            config: config.map(str::to_owned),
            cwd: "/a dir".into(),
        };
        let mut env: Env = env.iter().copied().collect();
        env.add("HOME", "/home/u");
        resolve_with(&inputs, &env, |_| false)
    }

    fn check(profile: Option<&str>, dev: bool, config: Option<&str>, env: &[(&str, &str)], expected: [&str; 3]) {
        let p = run(profile, dev, config, env).unwrap();
        let got = [&p.state_dir, &p.config_path, &p.workspace_default].map(|p| p.to_str().unwrap().to_owned());
        assert_eq!(got, expected, "{profile:?} {dev} {config:?} {env:?}");
    }

    #[test]
    fn places_follow_flags_then_variables_then_profile() {
        let plain = ["/home/u/.openclaw", "/home/u/.openclaw/openclaw.json", "/home/u/.openclaw/workspace"];
        let dev = ["/home/u/.openclaw-dev", "/home/u/.openclaw-dev/openclaw.json", "/home/u/.openclaw/workspace-dev"];
        check(None, false, None, &[], plain);
        check(Some("default"), false, None, &[], plain);
        check(None, true, None, &[], dev);
        check(Some("dev"), false, None, &[], dev);
        check(None, false, None, &[("OPENCLAW_PROFILE", "dev")], dev);
        check(None, true, None, &[("OPENCLAW_STATE_DIR", "~/s")], ["/home/u/s", "/home/u/s/openclaw.json", dev[2]]);
        check(None, false, Some("c.json5"), &[("OPENCLAW_CONFIG_PATH", "/e")], [plain[0], "/a dir/c.json5", plain[2]]);
        check(None, false, None, &[("OPENCLAW_CONFIG_PATH", "~/e")], [plain[0], "/home/u/e", plain[2]]);
        check(
            None,
            false,
            None,
            &[("OPENCLAW_HOME", "~/oc")],
            ["/home/u/oc/.openclaw", "/home/u/oc/.openclaw/openclaw.json", "/home/u/oc/.openclaw/workspace"],
        );
    }

    #[test]
    fn only_the_dev_flag_moves_the_port() {
        assert_eq!(run(None, true, None, &[]).unwrap().port_default, 19_001);
        assert_eq!(run(Some("dev"), false, None, &[]).unwrap().port_default, 18_789);
    }

    #[test]
    fn bad_profiles_are_refused_with_their_texts() {
        let text = |p, dev| run(p, dev, None, &[]).unwrap_err().to_string();
        assert_eq!(text(Some("x"), true), "Cannot combine --dev with --profile");
        assert_eq!(text(Some(" "), false), "--profile requires a value");
        assert_eq!(text(Some("../x"), false), "Invalid profile \"../x\": use letters, digits, \"_\" and \"-\"");
        let none = resolve_with(&PathInputs::default(), &Env::default(), |_| false);
        assert_eq!(none.unwrap_err(), PathError::NoHome);
    }

    #[test]
    fn the_other_file_name_is_read_only_when_it_is_alone() {
        let origin = |present: &[&str]| {
            let (path, origin) =
                standard_config(Path::new("/s"), |p| present.iter().any(|name| p == Path::new("/s").join(name)));
            (path.file_name().unwrap().to_str().unwrap().to_owned(), origin)
        };
        assert_eq!(origin(&[]), ("openclaw.json".into(), ConfigOrigin::Standard));
        assert_eq!(origin(&["config.json"]), ("config.json".into(), ConfigOrigin::OtherName));
        let both = origin(&["config.json", "openclaw.json"]);
        assert_eq!(both, ("openclaw.json".into(), ConfigOrigin::StandardBesideOther));
    }
}
