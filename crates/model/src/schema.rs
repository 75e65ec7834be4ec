//! A JSON Schema that is kept as text: a manifest holds thousands, and most are only handed on.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// Canonical JSON; equal schemas are equal texts. A cheap clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema(Arc<str>);

impl Schema {
    pub fn to_value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl From<&Value> for Schema {
    fn from(value: &Value) -> Self {
        Self(value.to_string().into())
    }
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(&Value::deserialize(deserializer)?))
    }
}

impl JsonSchema for Schema {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Schema".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        schemars::Schema::from(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_value_that_it_was_made_of() {
        let text = r##"{ "type": "array", "items": {"$ref": "#/components/schemas/A"}, "default": [1e400, "\u0001"] }"##;
        assert!(serde_json::from_str::<Schema>(text).is_err(), "a number that JSON cannot hold");
        let text = text.replace("1e400", "1.5");
        let schema: Schema = serde_json::from_str(&text).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(schema.to_value(), value);
        assert_eq!(serde_json::to_value(&schema).unwrap(), value);
        assert_eq!(schema, Schema::from(&value));
    }
}
