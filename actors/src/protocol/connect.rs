//! Checks the parameters of `connect`, and says what is wrong in the words that clients know.
//!
//! Unknown keys are ignored so that newer clients can connect; a known key of the wrong type is an error.
//! `null` is a wrong type: absent keys are absent. Source: WebSocket protocol of 2026.5.12, frames, connect params.

use serde_json::Value;

use super::hello::{CLIENT_IDS, CLIENT_MODES, ConnectParams};

/// Checks and types the parameters. `Err` lists every fault, joined by `; `, without the leading `invalid connect params: `.
pub fn validate_connect(params: &Value) -> Result<ConnectParams, String> {
    let mut faults = Vec::new();
    check_object("", params, CONNECT, &mut faults);
    if !faults.is_empty() {
        return Err(faults.join("; "));
    }
    serde_json::from_value(params.clone()).map_err(|error| error.to_string())
}

struct Field {
    name: &'static str,
    required: bool,
    kind: Kind,
}

enum Kind {
    Text,
    NonEmptyText,
    OneOf(&'static [&'static str]),
    /// An integer between the two, both included.
    Integer(u64, u64),
    NonEmptyTexts,
    Flags,
    Object(&'static [Field]),
}

const fn must(name: &'static str, kind: Kind) -> Field {
    Field { name, required: true, kind }
}

const fn may(name: &'static str, kind: Kind) -> Field {
    Field { name, required: false, kind }
}

const PROTOCOL: Kind = Kind::Integer(1, u32::MAX as u64);

const CONNECT: &[Field] = &[
    must("minProtocol", PROTOCOL),
    must("maxProtocol", PROTOCOL),
    must("client", Kind::Object(CLIENT)),
    may("role", Kind::NonEmptyText),
    may("scopes", Kind::NonEmptyTexts),
    may("caps", Kind::NonEmptyTexts),
    may("commands", Kind::NonEmptyTexts),
    may("permissions", Kind::Flags),
    may("pathEnv", Kind::Text),
    may("locale", Kind::Text),
    may("userAgent", Kind::Text),
    may("auth", Kind::Object(AUTH)),
    may("device", Kind::Object(DEVICE)),
];

const CLIENT: &[Field] = &[
    must("id", Kind::OneOf(&CLIENT_IDS)),
    must("version", Kind::NonEmptyText),
    must("platform", Kind::NonEmptyText),
    must("mode", Kind::OneOf(&CLIENT_MODES)),
    may("displayName", Kind::NonEmptyText),
    may("deviceFamily", Kind::NonEmptyText),
    may("modelIdentifier", Kind::NonEmptyText),
    may("instanceId", Kind::NonEmptyText),
];

const AUTH: &[Field] = &[
    may("token", Kind::Text),
    may("password", Kind::Text),
    may("deviceToken", Kind::Text),
    may("bootstrapToken", Kind::Text),
];

const DEVICE: &[Field] = &[
    must("id", Kind::NonEmptyText),
    must("publicKey", Kind::NonEmptyText),
    must("signature", Kind::NonEmptyText),
    must("signedAt", Kind::Integer(0, u64::MAX)),
    must("nonce", Kind::NonEmptyText),
];

fn check_object(path: &str, value: &Value, fields: &[Field], faults: &mut Vec<String>) {
    let Some(object) = value.as_object() else {
        faults.push(fault(path, "must be object"));
        return;
    };
    for field in fields {
        match object.get(field.name) {
            Some(value) => check(&format!("{path}/{}", field.name), value, &field.kind, faults),
            None if field.required => {
                faults.push(fault(path, &format!("must have required property '{}'", field.name)));
            }
            None => {}
        }
    }
}

fn check(path: &str, value: &Value, kind: &Kind, faults: &mut Vec<String>) {
    let wrong = match kind {
        Kind::Text => (!value.is_string()).then_some("must be string".to_owned()),
        Kind::NonEmptyText => wrong_text(value),
        Kind::OneOf(allowed) => (!value.as_str().is_some_and(|text| allowed.contains(&text)))
            .then_some("must be equal to one of the allowed values".to_owned()),
        Kind::Integer(min, max) => wrong_integer(value, *min, *max),
        Kind::NonEmptyTexts => return check_texts(path, value, faults),
        Kind::Flags => return check_flags(path, value, faults),
        Kind::Object(fields) => return check_object(path, value, fields, faults),
    };
    faults.extend(wrong.map(|text| fault(path, &text)));
}

fn wrong_text(value: &Value) -> Option<String> {
    match value.as_str() {
        None => Some("must be string".to_owned()),
        Some("") => Some("must NOT have fewer than 1 characters".to_owned()),
        Some(_) => None,
    }
}

fn wrong_integer(value: &Value, min: u64, max: u64) -> Option<String> {
    match value.as_u64() {
        None if value.is_i64() => Some(format!("must be >= {min}")),
        None => Some("must be integer".to_owned()),
        Some(number) if number < min => Some(format!("must be >= {min}")),
        Some(number) if number > max => Some(format!("must be <= {max}")),
        Some(_) => None,
    }
}

fn check_texts(path: &str, value: &Value, faults: &mut Vec<String>) {
    let Some(items) = value.as_array() else {
        faults.push(fault(path, "must be array"));
        return;
    };
    for (index, item) in items.iter().enumerate() {
        faults.extend(wrong_text(item).map(|text| fault(&format!("{path}/{index}"), &text)));
    }
}

fn check_flags(path: &str, value: &Value, faults: &mut Vec<String>) {
    let Some(flags) = value.as_object() else {
        faults.push(fault(path, "must be object"));
        return;
    };
    let wrong = flags.iter().filter(|(_, flag)| !flag.is_boolean());
    faults.extend(wrong.map(|(name, _)| fault(&format!("{path}/{name}"), "must be boolean")));
}

/// Faults of the root object carry no place.
fn fault(path: &str, text: &str) -> String {
    if path.is_empty() { text.to_owned() } else { format!("at {path}: {text}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good() -> Value {
        json!({
            "minProtocol": 4,
            "maxProtocol": 4,
            "client": { "id": "cli", "version": "dev", "platform": "linux", "mode": "cli" },
        })
    }

    /// `good()` with one place replaced.
    fn with(pointer: &str, value: Value) -> Value {
        let mut params = good();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        params.pointer_mut(parent).unwrap()[name] = value;
        params
    }

    #[test]
    fn the_least_that_is_needed_is_accepted_and_defaulted() {
        let params = validate_connect(&good()).unwrap();
        assert_eq!(params.role_name(), "operator");
        assert!(params.scopes.is_empty() && params.device.is_none() && params.auth.is_none());
    }

    #[test]
    fn keys_of_newer_clients_are_ignored() {
        let mut params = with("/client/buildId", json!("b"));
        params["modelCatalog"] = json!({ "sessionKey": "main" });
        assert!(validate_connect(&params).is_ok());
    }

    #[test]
    fn every_fault_names_its_place() {
        let cases = [
            (json!([1]), "must be object"),
            (json!({ "minProtocol": 4, "maxProtocol": 4 }), "must have required property 'client'"),
            (with("/client/id", json!("my-app")), "at /client/id: must be equal to one of the allowed values"),
            (with("/client/mode", json!(7)), "at /client/mode: must be equal to one of the allowed values"),
            (with("/client/version", json!("")), "at /client/version: must NOT have fewer than 1 characters"),
            (with("/client", json!("cli")), "at /client: must be object"),
            (with("/minProtocol", json!(0)), "at /minProtocol: must be >= 1"),
            (with("/minProtocol", json!(-1)), "at /minProtocol: must be >= 1"),
            (with("/minProtocol", json!("4")), "at /minProtocol: must be integer"),
            (with("/maxProtocol", json!(4.5)), "at /maxProtocol: must be integer"),
            (with("/maxProtocol", json!(u64::MAX)), "at /maxProtocol: must be <= 4294967295"),
            (with("/role", json!(null)), "at /role: must be string"),
            (with("/scopes", json!("operator.read")), "at /scopes: must be array"),
            (with("/scopes", json!(["a", 1])), "at /scopes/1: must be string"),
            (with("/permissions", json!({ "a": true, "b": 1 })), "at /permissions/b: must be boolean"),
            (with("/auth", json!({ "token": 5 })), "at /auth/token: must be string"),
            (
                with("/device", json!({ "id": "a", "publicKey": "b", "signature": "c", "nonce": "d" })),
                "at /device: must have required property 'signedAt'",
            ),
        ];
        for (params, expected) in cases {
            assert_eq!(validate_connect(&params).unwrap_err(), expected, "{params}");
        }
    }

    #[test]
    fn several_faults_are_joined() {
        let mut params = with("/client/id", json!("x"));
        params["caps"] = json!(1);
        assert_eq!(
            validate_connect(&params).unwrap_err(),
            "at /client/id: must be equal to one of the allowed values; at /caps: must be array"
        );
    }

    #[test]
    fn what_we_send_is_what_we_accept() {
        let mut params = validate_connect(&good()).unwrap();
        params.scopes = vec!["operator.read".to_owned()];
        let sent = serde_json::to_value(&params).unwrap();
        assert_eq!(validate_connect(&sent).unwrap(), params);
        assert!(sent.get("auth").is_none() && sent.get("role").is_none());
    }

    #[test]
    fn every_known_client_is_accepted() {
        for id in CLIENT_IDS {
            for mode in CLIENT_MODES {
                let mut params = with("/client/id", json!(id));
                params["client"]["mode"] = json!(mode);
                assert!(validate_connect(&params).is_ok(), "{id} {mode}");
            }
        }
    }
}
