//! Types that every project can use: Python's own, those of its standard library, and pydantic's.

use serde_json::{Value, json};

/// What a name from outside the project means in an annotation.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Known {
    /// A whole type.
    Schema(Value),
    Array {
        unique: bool,
    },
    Tuple,
    Object,
    /// Seconds for a worker, ISO 8601 for pydantic.
    Duration,
    Optional,
    Union,
    Literal,
    Annotated,
    /// `Final[T]`, `Required[T]`: the type inside.
    Inside,
}

/// `int`, `list`, … by their plain names.
pub(super) fn builtin(name: &str) -> Option<Known> {
    Some(match name {
        "int" => Known::Schema(json!({ "type": "integer" })),
        "float" => Known::Schema(json!({ "type": "number" })),
        "str" => Known::Schema(json!({ "type": "string" })),
        "bool" => Known::Schema(json!({ "type": "boolean" })),
        "bytes" => Known::Schema(json!({ "type": "string", "format": "binary" })),
        "None" => Known::Schema(json!({ "type": "null" })),
        "object" => Known::Schema(json!({})),
        "list" => Known::Array { unique: false },
        "set" | "frozenset" => Known::Array { unique: true },
        "tuple" => Known::Tuple,
        "dict" => Known::Object,
        _ => return None,
    })
}

/// A name of a module outside the project, dotted.
pub(super) fn external(dotted: &str) -> Option<Known> {
    let (package, _) = dotted.split_once('.')?;
    let name = dotted.rsplit('.').next()?;
    match package {
        "typing" | "typing_extensions" | "collections" => generic(name),
        "builtins" => builtin(name),
        "pydantic" => pydantic(name),
        _ => None,
    }
    .or_else(|| standard(dotted))
}

fn generic(name: &str) -> Option<Known> {
    Some(match name {
        "Any" | "Hashable" | "TypeVar" => Known::Schema(json!({})),
        "Text" | "LiteralString" => return builtin("str"),
        "Optional" => Known::Optional,
        "Union" => Known::Union,
        "Literal" => Known::Literal,
        "Annotated" => Known::Annotated,
        "ClassVar" | "Final" | "NotRequired" | "ReadOnly" | "Required" => Known::Inside,
        "List" | "Sequence" | "MutableSequence" | "Iterable" | "Collection" | "deque" | "Deque" => {
            Known::Array { unique: false }
        }
        "Set" | "FrozenSet" | "AbstractSet" | "MutableSet" => Known::Array { unique: true },
        "Tuple" => Known::Tuple,
        "Dict" | "Mapping" | "MutableMapping" | "DefaultDict" | "defaultdict" | "OrderedDict" | "Counter" => {
            Known::Object
        }
        _ => return None,
    })
}

fn text(format: &str) -> Value {
    json!({ "type": "string", "format": format })
}

fn standard(dotted: &str) -> Option<Known> {
    let schema = match dotted {
        "datetime.datetime" => text("date-time"),
        "datetime.date" => text("date"),
        "datetime.time" => text("time"),
        "datetime.timedelta" => return Some(Known::Duration),
        "uuid.UUID" => text("uuid"),
        "decimal.Decimal" => json!({ "anyOf": [{ "type": "number" }, { "type": "string" }] }),
        "pathlib.Path" | "pathlib.PurePath" | "pathlib.PosixPath" | "pathlib.PurePosixPath" => text("path"),
        "ipaddress.IPv4Address" => text("ipv4"),
        "ipaddress.IPv6Address" => text("ipv6"),
        "re.Pattern" | "typing.Pattern" => text("regex"),
        _ => return None,
    };
    Some(Known::Schema(schema))
}

fn pydantic(name: &str) -> Option<Known> {
    let number = |kind: &str, key: &str| json!({ "type": kind, key: 0 });
    let schema = match name {
        "StrictInt" | "conint" => json!({ "type": "integer" }),
        "StrictFloat" | "FiniteFloat" | "confloat" => json!({ "type": "number" }),
        "StrictStr" | "constr" => json!({ "type": "string" }),
        "StrictBool" => json!({ "type": "boolean" }),
        "StrictBytes" | "conbytes" => text("binary"),
        "PositiveInt" => number("integer", "exclusiveMinimum"),
        "NonNegativeInt" => number("integer", "minimum"),
        "NegativeInt" => number("integer", "exclusiveMaximum"),
        "NonPositiveInt" => number("integer", "maximum"),
        "PositiveFloat" => number("number", "exclusiveMinimum"),
        "NonNegativeFloat" => number("number", "minimum"),
        "NegativeFloat" => number("number", "exclusiveMaximum"),
        "NonPositiveFloat" => number("number", "maximum"),
        "EmailStr" => text("email"),
        "AnyUrl" | "AnyHttpUrl" | "HttpUrl" => text("uri"),
        "SecretStr" | "SecretBytes" => text("password"),
        "UUID1" | "UUID3" | "UUID4" | "UUID5" | "UUID6" | "UUID7" | "UUID8" => text("uuid"),
        "FilePath" | "DirectoryPath" | "NewPath" => text("path"),
        "AwareDatetime" | "NaiveDatetime" | "FutureDatetime" | "PastDatetime" => text("date-time"),
        "FutureDate" | "PastDate" => text("date"),
        "Base64Str" | "Base64Bytes" => json!({ "type": "string", "contentEncoding": "base64" }),
        _ => return None,
    };
    Some(Known::Schema(schema))
}
