//! Typed names and ids. Identity is app / environment / resource name; endpoint ids are recorded, never parsed.
//!
//! Cheap to clone: one name stands in the manifest, in records, in the inventory and in every plan.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A name that breaks the rule of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {kind} {value:?}: {rule}")]
pub struct InvalidName {
    pub kind: &'static str,
    pub value: String,
    pub rule: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(value: impl Into<String>) -> Result<Self, InvalidName> {
                let value = value.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&value) { Ok(Self(value.into())) } else { Err(InvalidName { kind: $kind, value, rule: $rule }) }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(value: String) -> Result<Self, InvalidName> {
                Self::new(value)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }
    };
}

const LABEL_LENGTH_MAX: usize = 128;

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LABEL_LENGTH_MAX
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && chars.all(|c| c.is_alphanumeric() || c == '_')
}

text_id!(
    /// The application, by default the project directory's name made into a label.
    AppName, "app name", "use letters, digits, '_', '-' and '.', starting with a letter, digit or '_', 128 at most", is_label
);
text_id!(
    /// One deployment of an app: `dev` for `flash run`.
    EnvironmentName, "environment name", "use letters, digits, '_', '-' and '.', starting with a letter, digit or '_', 128 at most", is_label
);
text_id!(
    /// The `name=` of a resource. May start with a digit (`01_03_preprocess_worker`).
    ResourceName, "resource name", "use letters, digits, '_', '-' and '.', starting with a letter, digit or '_', 128 at most", is_label
);
text_id!(
    /// A decorated function or class: a Python identifier, unique in a project.
    FunctionName, "function name", "use a Python identifier", is_identifier
);
text_id!(
    /// What a provider calls an endpoint. Opaque: lower-case letters and digits with dashes, so it can be a DNS label.
    EndpointId, "endpoint id", "use lower-case letters, digits and '-', 1 to 63", |text| !text.is_empty() && text.len() <= 63 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
);
text_id!(
    /// The lineage of one app+environment's state, made at its first write.
    MothershipId, "mothership id", "use lower-case letters, digits and '-', 1 to 63", |text| !text.is_empty() && text.len() <= 63 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
);
text_id!(
    /// One life of one process that may hold a lease: `pid-4711-9f86d081884c7d65`. Never used twice.
    HolderId, "holder id", "use letters, digits, '_', '-' and '.', starting with a letter, digit or '_', 128 at most", is_label
);
text_id!(
    /// Makes a provider write repeatable: two creates with one key make one endpoint.
    IdempotencyKey, "idempotency key", "use letters, digits, '_', '-' and '.', starting with a letter, digit or '_', 128 at most", is_label
);

/// What a mothership acts for: one environment of one app.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Scope {
    pub app: AppName,
    pub environment: EnvironmentName,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.environment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_names_may_start_with_digits_but_not_hold_slashes() {
        for good in ["prep", "01_03_preprocess_worker", "a.b-c", "_x"] {
            assert!(ResourceName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a/b", "a b", "-x", "é", &"x".repeat(129)] {
            assert!(ResourceName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn reading_a_bad_name_from_json_is_an_error() {
        let error = serde_json::from_str::<ResourceName>("\"a/b\"").unwrap_err();
        assert!(error.to_string().contains("invalid resource name \"a/b\""), "{error}");
    }
}
