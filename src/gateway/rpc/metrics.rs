//! `diagnostics.metrics`: the registry that `GET /api/diagnostics/prometheus` shows.

use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::Params;
use openclaw_actors::protocol::scope::Scope;
use serde::Deserialize;
use serde_json::json;

use super::{Access, Call, Method, Reply};
use crate::gateway::metrics;

pub const METHODS: &[Method] =
    &[Method::new("diagnostics.metrics", Access::Operator(Scope::Read), |call| Box::pin(show(call)))];

#[derive(Deserialize)]
struct MetricsParams {
    #[serde(default)]
    format: Format,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Prometheus,
}

impl Params for MetricsParams {}

/// `{families}`, or `{text}` in the format of Prometheus.
async fn show(call: Call) -> Result<Reply, ErrorShape> {
    let params: MetricsParams = call.params()?;
    Ok(Reply::Value(match params.format {
        Format::Json => metrics::json(&call.services).await,
        Format::Prometheus => json!({ "text": metrics::text(&call.services).await }),
    }))
}
