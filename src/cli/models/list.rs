//! `openclaw models list`: the catalogue of this configuration.

use std::net::IpAddr;

use clap::Args;
use openclaw_actors::config::Snapshot;
use openclaw_actors::model::{Catalogue, ModelInfo, ModelRef, View};
use serde_json::{Value, json};
use url::{Host, Url};

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Outcome};

/// List models
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw models list
  openclaw models list --provider openai --plain")]
pub struct ListArgs {
    /// Every known model, not only those of the configuration
    #[arg(long)]
    pub all: bool,
    /// Only models on this host or network
    #[arg(long)]
    pub local: bool,
    /// Only models of this provider
    #[arg(long, value_name = "id")]
    pub provider: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Print references only
    #[arg(long)]
    pub plain: bool,
}

pub fn run(args: &ListArgs, context: &Context) -> Outcome {
    let snapshot = context.snapshot()?;
    let catalogue = Catalogue::from_settings(&snapshot.settings);
    for warning in catalogue.warnings() {
        context.output.note(warning);
    }
    let rows = rows(args, snapshot, &catalogue);
    if args.json {
        context.output.json(&json!({ "count": rows.len(), "models": rows }))?;
    } else if args.plain {
        for row in &rows {
            context.output.line(row["key"].as_str().unwrap_or_default())?;
        }
    } else {
        let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
        context.output.table(&["Model", "Input", "Ctx", "Local", "Auth", "Tags"], &cells)?;
    }
    Ok(Exit::Done)
}

fn rows(args: &ListArgs, snapshot: &Snapshot, catalogue: &Catalogue) -> Vec<Value> {
    let env = |name: &str| snapshot.env.get(name).map(str::to_owned);
    let default = catalogue.default_model(env).map(|model| model.to_string());
    let configured = catalogue.list(View::Configured);
    let models = if args.all || configured.is_empty() { catalogue.list(View::All) } else { configured };
    let wanted = |model: &ModelInfo| args.provider.as_ref().is_none_or(|provider| *provider == model.provider);
    let rows =
        models.iter().filter(|model| wanted(model)).map(|model| row(model, snapshot, catalogue, default.as_deref()));
    rows.filter(|row| !args.local || row["local"] == json!(true)).collect()
}

fn row(model: &ModelInfo, snapshot: &Snapshot, catalogue: &Catalogue, default: Option<&str>) -> Value {
    let reference = ModelRef::new(&model.provider, &model.id);
    let secret = |input: &_| snapshot.secrets.resolve(input).map(str::to_owned);
    let target = catalogue.target(&reference, secret, |name| snapshot.env.get(name).map(str::to_owned));
    let key = reference.to_string();
    let mut tags: Vec<String> = (default == Some(key.as_str())).then(|| "default".to_owned()).into_iter().collect();
    tags.extend(model.alias.as_ref().map(|alias| format!("alias:{alias}")));
    tags.extend(model.reasoning.then(|| "reasoning".to_owned()));
    json!({
        "key": key,
        "name": model.name,
        "input": model.input.join("+"),
        "contextWindow": model.context_window,
        "local": target.as_ref().is_ok_and(|target| is_local(&target.base_url)),
        "available": target.is_ok(),
        "tags": tags,
        "missing": false,
    })
}

/// On this host or in a private network.
fn is_local(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
        Some(Host::Domain(name)) => return name == "localhost" || name.ends_with(".local"),
        None => return false,
    };
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    }
}

fn cells(row: &Value) -> Vec<String> {
    let yes = |key: &str| if row[key] == json!(true) { "yes" } else { "no" }.to_owned();
    let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let tags: Vec<&str> = row["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let window = row["contextWindow"].as_u64().unwrap_or(0) / 1024;
    vec![text("key"), text("input"), format!("{window}k"), yes("local"), yes("available"), tags.join(",")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_table_shows_what_matters() {
        let row = json!({
            "key": "stub/stub-1", "name": "Stub One", "input": "text", "contextWindow": 196_608, "local": true,
            "available": true, "tags": ["default"]
        });
        assert_eq!(cells(&row), ["stub/stub-1", "text", "192k", "yes", "yes", "default"]);
    }

    #[test]
    fn local_means_this_host_or_network() {
        for (url, expected) in [
            ("http://127.0.0.1:1234/v1", true),
            ("http://192.168.1.9:1234", true),
            ("http://box.local:1", true),
            ("https://api.example.org", false),
            ("nonsense", false),
        ] {
            assert_eq!(is_local(url), expected, "{url}");
        }
    }
}
