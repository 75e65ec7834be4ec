//! A decorated function or class, as the scanner read it from source text.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{FunctionName, HttpMethod, Schema};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    PositionalOnly,
    PositionalOrKeyword,
    VarPositional,
    KeywordOnly,
    VarKeyword,
}

/// One parameter; annotation and default are source text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Parameter {
    pub name: String,
    pub kind: ParameterKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// JSON Schema of the annotation and, where it is literal, the default. `$ref`s are `#/components/schemas/NAME` as in
    /// OpenAPI and mean an entry of the resource's `schemas`. Of a type that only running code knows: its name as `title`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Schema>,
}

/// A public method of a decorated class. `self` is not among the parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClassMethod {
    pub name: String,
    pub is_async: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// JSON Schema of the return annotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns_schema: Option<Schema>,
}

/// A function entry of the manifest. The first nine fields keep the reference's names and meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Function {
    pub name: FunctionName,
    /// Dotted module path from the import root: `workers.gpu.endpoint`. Segments may start with digits.
    pub module: String,
    pub is_async: bool,
    pub is_class: bool,
    #[serde(default)]
    pub is_load_balanced: bool,
    #[serde(default)]
    pub is_live_resource: bool,
    #[serde(default)]
    pub config_variable: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_method: Option<HttpMethod>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_path: Option<String>,
    /// Source file relative to the project root, with `/`.
    #[serde(default)]
    pub file: String,
    /// 1-based line of the `def` or `class`.
    #[serde(default)]
    pub line: u32,
    /// Parameters of the function, or of the class's `__init__` without `self`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns: Option<String>,
    /// JSON Schema of `returns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns_schema: Option<Schema>,
    /// Public methods, for classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<ClassMethod>,
    /// First paragraph of the docstring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub system_dependencies: Vec<String>,
    /// Other decorated functions and classes that its body calls or passes on, itself or through plain functions of the
    /// project. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<FunctionName>,
}
