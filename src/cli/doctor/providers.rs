//! Is there a model, is its key there, and can its provider be reached?
//!
//! Opens a connection and closes it again: no request is sent and no key leaves this process.

use std::time::Duration;

use futures::future::join_all;
use openclaw_actors::config::Snapshot;
use openclaw_actors::config::settings::ModelChoice;
use openclaw_actors::model::{Catalogue, ModelRef};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::finding::{Finding, Section};
use crate::cli::context::Context;
use crate::cli::exit::Failure;

/// Longest wait for one provider.
const LIMIT: Duration = Duration::from_secs(3);

pub fn look(context: &Context) -> Result<Vec<Finding>, Failure> {
    let Ok(snapshot) = context.loaded() else { return Ok(Vec::new()) };
    let catalogue = Catalogue::from_settings(&snapshot.settings);
    let mut findings: Vec<Finding> =
        catalogue.warnings().iter().map(|warning| Finding::note(Section::Models, warning)).collect();
    let models = in_use(snapshot, &catalogue);
    if models.is_empty() {
        let hint = context.hint("config set agents.defaults.model <provider/model>");
        let text = format!("No model is configured and no provider key is in the environment\nChoose one: {hint}");
        findings.push(Finding::note(Section::Models, text));
    }
    let mut addresses: Vec<(String, String)> = Vec::new();
    for model in &models {
        let secret = |input: &_| snapshot.secrets.resolve(input).map(str::to_owned);
        match catalogue.target(model, secret, |name| snapshot.env.get(name).map(str::to_owned)) {
            Err(error) => findings.push(Finding::problem(Section::Models, format!("{model}: {error}"))),
            Ok(target) if addresses.iter().any(|(_, url)| *url == target.base_url) => {}
            Ok(target) => addresses.push((target.provider, target.base_url)),
        }
    }
    let knocks = addresses.iter().map(|(provider, url)| knock(provider, url));
    findings.extend(context.block_on(async { join_all(knocks).await })?);
    Ok(findings)
}

/// The default model and its fallbacks.
fn in_use(snapshot: &Snapshot, catalogue: &Catalogue) -> Vec<ModelRef> {
    let default = catalogue.default_model(|name| snapshot.env.get(name).map(str::to_owned));
    let fallbacks = match &snapshot.settings.agents.defaults.model {
        Some(ModelChoice::Chain { fallbacks, .. }) => fallbacks.as_slice(),
        _ => &[],
    };
    let fallbacks = fallbacks.iter().filter_map(|text| catalogue.reference(text).ok()).map(|found| found.model);
    default.into_iter().chain(fallbacks).collect()
}

async fn knock(provider: &str, url: &str) -> Finding {
    let Some(address) = address(url) else {
        return Finding::problem(Section::Models, format!("{provider}: \"{url}\" is no address"));
    };
    match timeout(LIMIT, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Finding::fine(Section::Models, format!("{provider} can be reached at {url}")),
        Ok(Err(error)) => Finding::problem(Section::Models, format!("{provider} cannot be reached at {url}: {error}")),
        Err(_) => {
            Finding::problem(Section::Models, format!("{provider} did not answer at {url} within {}s", LIMIT.as_secs()))
        }
    }
}

fn address(url: &str) -> Option<(String, u16)> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    Some((host, url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        assert_eq!(address("https://api.example.org/v1"), Some(("api.example.org".into(), 443)));
        assert_eq!(address("http://[::1]:8080"), Some(("::1".into(), 8080)));
        assert_eq!(address("nonsense"), None);
    }

    #[tokio::test]
    async fn a_closed_port_is_a_problem_and_an_open_one_is_fine() {
        let open = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = open.local_addr().unwrap().port();
        assert_eq!(knock("a", &format!("http://127.0.0.1:{port}")).await.severity, Severity::Fine);
        drop(open);
        assert_eq!(knock("a", &format!("http://127.0.0.1:{port}")).await.severity, Severity::Problem);
    }
}
