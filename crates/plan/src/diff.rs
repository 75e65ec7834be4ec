//! Which fields of a specification changed, from what to what.

use std::collections::BTreeMap;

use flash_model::ResourceSpec;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Path in the manifest's `spec`, dotted: `workersMax`, `hardware.gpuCount`.
    pub field: String,
    pub old: Value,
    pub new: Value,
}

/// Sorted by field; a field that one side lacks is `null` there.
pub fn field_changes(old: &ResourceSpec, new: &ResourceSpec) -> Vec<FieldChange> {
    let (mut old, new) = (leaves(old), leaves(new));
    let mut changes = Vec::new();
    for (field, new) in new {
        let old = old.remove(&field).unwrap_or(Value::Null);
        if old != new {
            changes.push(FieldChange { field, old, new });
        }
    }
    changes.extend(old.into_iter().filter(|(_, old)| !old.is_null()).map(|(field, old)| FieldChange {
        field,
        old,
        new: Value::Null,
    }));
    changes.sort_by(|left, right| left.field.cmp(&right.field));
    changes
}

/// Objects are opened, arrays are values.
fn leaves(spec: &ResourceSpec) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    let mut open = vec![(String::new(), serde_json::to_value(spec).unwrap_or_default())];
    while let Some((path, value)) = open.pop() {
        match value {
            Value::Object(fields) => {
                open.extend(fields.into_iter().map(|(name, value)| {
                    (if path.is_empty() { name } else { format!("{path}.{name}") }, value)
                }))
            }
            leaf => {
                leaves.insert(path, leaf);
            }
        }
    }
    leaves
}
