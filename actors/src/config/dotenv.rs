//! `.env` files and the order in which environment sources count.
//!
//! Never overriding: the process first, then `.env` of the working directory (which may come from a stranger's checkout,
//! so only names that cannot redirect us), then `<state>/.env`, then `~/.config/openclaw/gateway.env`.
//! The configuration's own `env` block comes last and is added by `load.rs`.

use std::path::Path;

use super::env::Env;
use super::paths::Paths;

/// The process environment with the `.env` files below it. A file that is missing adds nothing.
pub fn layered(process: Env, cwd: &Path, paths: &Paths) -> Env {
    let mut env = process;
    let in_cwd = cwd.join(".env");
    let in_state = paths.state_dir.join(".env");
    if in_cwd != in_state {
        add(&mut env, &in_cwd, is_harmless);
    }
    add(&mut env, &in_state, |_| true);
    add(&mut env, &paths.home.join(".config/openclaw/gateway.env"), |_| true);
    env
}

fn add(env: &mut Env, path: &Path, allowed: impl Fn(&str) -> bool) {
    let Ok(text) = std::fs::read_to_string(path) else { return }; // absent or unreadable: not a source
    for (name, value) in parse(&text) {
        if allowed(&name) {
            env.add(name, value);
        }
    }
}

/// The assignments of a `.env` text, in order: `KEY=value`, `export KEY=value`, quotes, `#` comments, no expansion.
///
/// A line that is no assignment is skipped. In double quotes `\n`, `\r`, `\t`, `\"` and `\\` are escapes; single quotes are
/// literal; both may span lines. Without quotes a ` #` starts a comment.
pub fn parse(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    while !rest.is_empty() {
        let line = rest.lines().next().unwrap_or_default();
        let (assignment, used) = match assignment(line) {
            Some((name, at)) => {
                let (value, length) = value(&rest[at..]);
                (Some((name.to_owned(), value)), at + length)
            }
            None => (None, line.len()),
        };
        found.extend(assignment);
        rest = rest[used..].split_once('\n').map_or("", |(_, next)| next);
    }
    found
}

/// Name and the offset of its value, if the line assigns one.
fn assignment(line: &str) -> Option<(&str, usize)> {
    let (left, right) = line.split_once('=')?;
    let name = left.trim();
    let name = name.strip_prefix("export ").map_or(name, str::trim_start);
    let valid = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let blanks = right.len() - right.trim_start_matches([' ', '\t']).len();
    valid.then_some((name, left.len() + 1 + blanks))
}

/// The value that starts `text`, and how many bytes of `text` it takes.
fn value(text: &str) -> (String, usize) {
    let quote = text.chars().next().filter(|c| *c == '"' || *c == '\'');
    if let Some(quote) = quote
        && let Some((value, length)) = quoted(text, quote)
    {
        return (value, length);
    }
    let line = text.lines().next().unwrap_or_default();
    let plain = if line.starts_with('#') { "" } else { line.split(" #").next().unwrap_or_default() };
    (plain.trim().to_owned(), line.len())
}

fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((value, at + 1)),
            '\\' if quote == '"' => match chars.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                c @ ('"' | '\\') => value.push(c),
                other => value.extend(['\\', other]),
            },
            c => value.push(c),
        }
    }
    None
}

/// What a checkout's `.env` may not set: beginnings, ends and whole names, separated by spaces.
const PREFIXES: &str = "LD_ DYLD_ BASH_FUNC_ OPENCLAW_ CLAWHUB_ GIT_ NPM_CONFIG_ CARGO_ TF_VAR_ AWS_ AZURE_ PIP_ UV_ ANSIBLE_ PYTHON \
    PERL5 RUBY LUA_ NODE_ R_ DOCKER_ SSL_ PROGRAMFILES ANTHROPIC_API_KEY OPENAI_API_KEY PUPPETEER_ PLAYWRIGHT_ \
    CHROME_ DENO_ BUN_ HG SVN_ BZR_";
const SUFFIXES: &str = "_API_HOST _BASE_URL _HOMESERVER _PROXY _OPTS _OPTIONS FLAGS _PATH";
const NAMES: &str = "ANTHROPIC_OAUTH_TOKEN PATH HOME SHELL BASH_ENV ENV SHELLOPTS PS4 IFS GLIBC_TUNABLES HOSTALIASES \
    SSLKEYLOGFILE BROWSER SUDO_ASKPASS SSH_ASKPASS SSH_AUTH_SOCK EDITOR VISUAL PAGER LESSOPEN LESSCLOSE PROMPT_COMMAND CC CXX \
    COMSPEC LOCALAPPDATA STATE_DIRECTORY SYSTEMROOT WINDIR ZDOTDIR XDG_CONFIG_HOME XDG_CONFIG_DIRS REQUESTS_CA_BUNDLE \
    KUBECONFIG GOOGLE_APPLICATION_CREDENTIALS DATABASE_URL REDIS_URL MONGODB_URI AMQP_URL OPENSSL_CONF WGETRC CURL_HOME \
    CLASSPATH GOPROXY RUSTC_WRAPPER GH_TOKEN GITHUB_TOKEN GITLAB_TOKEN NPM_TOKEN";

/// May a `.env` of the working directory set this name?
///
/// No: whatever steers this program, loaders, interpreters, shells, proxies, certificates, model endpoints or credentials.
/// Source: security reference, environment policy, workspace `.env`.
pub fn is_harmless(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    !(PREFIXES.split(' ').any(|p| name.starts_with(p))
        || SUFFIXES.split(' ').any(|s| name.ends_with(s))
        || NAMES.split(' ').any(|n| n == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_read_as_a_shell_user_expects() {
        let text = "\u{feff}# head\nA=1\nexport B = two words  # why\nC=\"x\\n\\\"y\\\" # z\"\r\nD='$A \\n'\n\
                    E=\n9F=no\nnonsense\nG=a#b\nH=\"line 1\nline 2\"\nI='open\nJ=#none\n";
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "x\n\"y\" # z"),
            ("D", "$A \\n"),
            ("E", ""),
            ("G", "a#b"),
            ("H", "line 1\nline 2"),
            ("I", "'open"),
            ("J", ""),
        ];
        let found = parse(text);
        let found: Vec<(&str, &str)> = found.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_checkout_cannot_steer_us_through_its_dotenv() {
        for name in
            ["OPENCLAW_STATE_DIR", "ld_preload", "OPENAI_BASE_URL", "https_proxy", "ANTHROPIC_API_KEY_OLD", "PATH"]
        {
            assert!(!is_harmless(name), "{name}");
        }
        for name in ["GROQ_API_KEY", "TZ", "MY_SETTING"] {
            assert!(is_harmless(name), "{name}");
        }
    }

    #[test]
    fn earlier_sources_win() {
        let dir = tempfile::tempdir().unwrap();
        let cwd = dir.path().join("cwd");
        let inputs = super::super::paths::PathInputs { cwd: cwd.clone(), ..Default::default() };
        let env = Env::from_iter([("HOME", dir.path().to_str().unwrap()), ("A", "process")]);
        let paths = super::super::paths::resolve(&inputs, &env).unwrap();
        for (file, text) in [
            (cwd.join(".env"), "A=cwd\nB=cwd\nPATH=/evil\n"),
            (paths.state_dir.join(".env"), "A=state\nB=state\nC=state\n"),
            (dir.path().join(".config/openclaw/gateway.env"), "C=compat\nD=compat\n"),
        ] {
            crate::files::ensure_dir(file.parent().unwrap()).unwrap();
            crate::files::replace(&file, text.as_bytes()).unwrap();
        }
        let env = layered(env, &cwd, &paths);
        let got = ["A", "B", "C", "D", "PATH"].map(|n| env.get(n).unwrap_or("-").to_owned());
        assert_eq!(got, ["process", "cwd", "state", "compat", "-"]);
    }
}
