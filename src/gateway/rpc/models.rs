//! `models.list`: what may be chosen, what is configured, what there is.

use openclaw_actors::model::catalogue::{Catalogue, View};
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::Params;
use openclaw_actors::protocol::scope::Scope;
use serde::Deserialize;
use serde_json::json;

use super::{Access, Call, Method, Reply};

pub const METHODS: &[Method] =
    &[Method::new("models.list", Access::Operator(Scope::Read), |call| Box::pin(models_list(call)))];

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListParams {
    /// Default: `default`.
    view: Option<ViewName>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ViewName {
    Default,
    Configured,
    All,
}

impl Params for ListParams {}

impl From<ViewName> for View {
    fn from(name: ViewName) -> Self {
        match name {
            ViewName::Default => Self::Default,
            ViewName::Configured => Self::Configured,
            ViewName::All => Self::All,
        }
    }
}

async fn models_list(call: Call) -> Result<Reply, ErrorShape> {
    let params: ListParams = call.params()?;
    let catalogue = Catalogue::from_settings(&call.services.config.load().settings);
    let view = params.view.map_or(View::Default, View::from);
    Ok(Reply::Value(json!({ "models": catalogue.list(view) })))
}

#[cfg(test)]
mod tests {
    use openclaw_actors::protocol::params::from_value;

    use super::*;

    #[test]
    fn a_view_is_one_of_three() {
        let view = |params| from_value::<ListParams>("models.list", params).map(|p| p.view.map(View::from));
        assert_eq!(view(json!({})).unwrap(), None);
        assert_eq!(view(json!({ "view": "configured" })).unwrap(), Some(View::Configured));
        assert_eq!(
            view(json!({ "view": "some" })).unwrap_err().message,
            "invalid models.list params: at /view: must be equal to one of the allowed values"
        );
    }
}
