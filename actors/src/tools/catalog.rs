//! The listing behind `tools.catalog`: the tools that exist, by group, with the profiles that include them.
//!
//! Source: `tools.catalog` of 2026.5.12 for ids, labels and order; descriptions are the tools' own.

use serde_json::{Value, json};

use super::policy::GROUPS;
use crate::model::provider::ToolSpec;

/// Profiles and their labels; `full` restricts nothing and is nobody's default.
const PROFILES: [(&str, &str); 4] =
    [("minimal", "Minimal"), ("coding", "Coding"), ("messaging", "Messaging"), ("full", "Full")];

/// The payload of `tools.catalog`. Groups without a tool of this release are left out; a tool in no group stands
/// under `other`.
pub fn catalog(agent_id: &str, tools: &[ToolSpec]) -> Value {
    let mut groups: Vec<Value> = GROUPS
        .iter()
        .filter_map(|group| section(group.id, group.label, tools, |name| group.tools.contains(&name)))
        .collect();
    let is_grouped = |name: &str| GROUPS.iter().any(|group| group.tools.contains(&name));
    groups.extend(section("other", "Other", tools, |name| !is_grouped(name)));
    let profiles: Vec<Value> = PROFILES.iter().map(|(id, label)| json!({"id": id, "label": label})).collect();
    json!({"agentId": agent_id, "profiles": profiles, "groups": groups})
}

fn section(id: &str, label: &str, tools: &[ToolSpec], belongs: impl Fn(&str) -> bool) -> Option<Value> {
    let tools: Vec<Value> = tools
        .iter()
        .filter(|tool| belongs(&tool.name))
        .map(|tool| {
            json!({"id": tool.name, "label": tool.name, "description": tool.description, "source": "core",
                   "defaultProfiles": default_profiles(&tool.name)})
        })
        .collect();
    (!tools.is_empty()).then(|| json!({"id": id, "label": label, "source": "core", "tools": tools}))
}

/// The profiles that include a tool, apart from `full`.
pub fn default_profiles(tool: &str) -> Vec<&'static str> {
    let in_group = |id: &str| GROUPS.iter().any(|group| group.id == id && group.tools.contains(&tool));
    let coding = ["fs", "runtime", "web", "memory", "sessions"].into_iter().any(in_group)
        || matches!(tool, "cron" | "update_plan" | "image" | "image_generate" | "music_generate" | "video_generate");
    let messaging =
        matches!(tool, "message" | "sessions_list" | "sessions_history" | "sessions_send" | "session_status");
    [("minimal", tool == "session_status"), ("coding", coding), ("messaging", messaging)]
        .into_iter()
        .filter_map(|(profile, includes)| includes.then_some(profile))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_stand_in_their_groups_with_their_profiles() {
        let tools: Vec<ToolSpec> = ["session_status", "read", "own_tool"]
            .map(|name| ToolSpec { name: name.into(), description: "d".into(), parameters: json!({}) })
            .to_vec();
        let catalog = catalog("main", &tools);
        let ids: Vec<&Value> = catalog["groups"].as_array().unwrap().iter().map(|group| &group["id"]).collect();
        assert_eq!(ids, ["fs", "sessions", "other"]);
        assert_eq!(
            catalog["groups"][0],
            json!({"id": "fs", "label": "Files", "source": "core", "tools": [
                {"id": "read", "label": "read", "description": "d", "source": "core", "defaultProfiles": ["coding"]}]})
        );
        assert_eq!(catalog["groups"][1]["tools"][0]["defaultProfiles"], json!(["minimal", "coding", "messaging"]));
        assert_eq!(catalog["groups"][2]["tools"][0]["defaultProfiles"], json!([]));
        assert_eq!(catalog["profiles"][0], json!({"id": "minimal", "label": "Minimal"}));
    }
}
