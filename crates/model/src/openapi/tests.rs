use super::*;
use crate::{Code, Manifest, wire};

/// A load-balanced resource `api` with these functions and schemas.
fn resource(functions: Value, schemas: Value) -> Resource {
    let manifest = json!({
        "version": "1.0", "generated_at": "", "project_name": "shop", "function_registry": {},
        "resources": { "api": {
            "spec": {
                "kind": "load_balanced", "hardware": { "type": "cpu", "instanceIds": ["any"] },
                "workersMin": 0, "workersMax": 1, "idleTimeout": 5,
                "scaler": { "type": "REQUEST_COUNT", "value": 4 }, "executionTimeoutMs": 0, "maxConcurrency": 1,
                "flashboot": true,
            },
            "resource_type": "LiveLoadBalancer", "handler_file": "", "functions": functions, "schemas": schemas,
            "is_load_balanced": true, "is_live_resource": true, "config_variable": null, "files": [], "imports": [],
            "code_digest": "", "config_hash": "0123456789abcdef",
        } },
    });
    let mut manifest = Manifest::from_json(&manifest.to_string()).unwrap();
    manifest.resources.remove("api").unwrap()
}

fn function(name: &str, route: &str, parameters: Value) -> Value {
    let (method, path) = route.split_once(' ').unwrap();
    json!({
        "name": name, "module": "main", "is_async": true, "is_class": false, "http_method": method,
        "http_path": path, "parameters": parameters,
    })
}

fn parameter(name: &str, schema: Value) -> Value {
    json!({ "name": name, "kind": "positional_or_keyword", "annotation": "", "schema": schema })
}

fn optional(name: &str, schema: Value) -> Value {
    json!({ "name": name, "kind": "keyword_only", "annotation": "", "default": "...", "schema": schema })
}

fn described(functions: Vec<Value>, schemas: Value) -> Value {
    let resource = resource(Value::Array(functions), schemas);
    let document = document("shop", &ResourceName::new("api").unwrap(), &resource);
    sound(&document);
    document
}

/// The operation of one function alone.
fn operation(route: &str, parameters: Value, schemas: Value) -> Value {
    let document = described(vec![function("f", route, parameters)], schemas);
    let (_, operations) = document["paths"].as_object().unwrap().iter().next().unwrap();
    operations.as_object().unwrap().values().next().unwrap().clone()
}

/// Every `$ref` leads somewhere, every parameter of a path is declared once, operation ids are unique.
fn sound(document: &Value) {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    references(document, &mut found);
    for reference in found {
        let name = reference.strip_prefix(REFERENCES).unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{reference}");
    }
    let mut ids = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let mut named: Vec<&str> =
            path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect();
        named.sort_unstable();
        for operation in operations.as_object().unwrap().values() {
            let parameters = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
            let mut declared: Vec<&str> = parameters
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            declared.sort_unstable();
            assert_eq!(declared, named, "{path}");
            ids.push(operation["operationId"].clone());
        }
    }
    let count = ids.len();
    ids.sort_by_key(Value::to_string);
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn the_frame_names_project_and_resource() {
    let document = described(vec![], json!({}));
    assert_eq!(
        document,
        json!({
            "openapi": "3.1.0", "info": { "title": "shop api", "version": "0123456789ab" },
            "tags": [{ "name": "api" }], "components": { "schemas": {} }, "paths": {},
        })
    );
}

#[test]
fn get_takes_path_and_query() {
    let parameters = json!([
        parameter("id", json!({ "type": "integer", "minimum": 1, "description": "Which." })),
        parameter("tags", json!({ "type": "array", "items": { "type": "string" } })),
        parameter("filter", json!({ "type": "object", "additionalProperties": true })),
        optional("limit", json!({ "type": "integer", "default": 5 })),
        { "name": "bare", "kind": "positional_or_keyword" },
        { "name": "args", "kind": "var_positional" },
        { "name": "more", "kind": "var_keyword" },
    ]);
    let operation = operation("GET /items/{id}/{rest:path}", parameters, json!({}));
    assert_eq!(
        operation["parameters"],
        json!([
            {
                "name": "id", "in": "path", "required": true, "description": "Which.",
                "schema": { "type": "integer", "minimum": 1 },
            },
            { "name": "rest", "in": "path", "required": true, "schema": { "type": "string" } },
            {
                "name": "tags", "in": "query", "required": true,
                "schema": { "type": "array", "items": { "type": "string" } },
            },
            {
                "name": "filter", "in": "query", "required": true,
                "content": { "application/json": { "schema": { "type": "object", "additionalProperties": true } } },
            },
            { "name": "limit", "in": "query", "required": false, "schema": { "type": "integer", "default": 5 } },
            { "name": "bare", "in": "query", "required": true, "schema": { "type": "string" } },
            {
                "name": "more", "in": "query",
                "schema": { "type": "object", "additionalProperties": { "type": "string" } },
            },
        ])
    );
    assert_eq!(operation.get("requestBody"), None);
}

#[test]
fn a_single_object_list_or_bytes_is_the_whole_body() {
    let model = json!({ "Item": { "type": "object", "properties": {} }, "Pair": { "type": "array" } });
    let item = json!({ "$ref": "#/components/schemas/Item" });
    let pair = json!({ "$ref": "#/components/schemas/Pair" });
    let check = |schema: &Value, media: &str, is_whole: bool| {
        let body =
            operation("POST /f", json!([parameter("x", schema.clone())]), model.clone())["requestBody"]
                .clone();
        assert_eq!(body["required"], true, "{schema}");
        let found = &body["content"][media]["schema"];
        match is_whole {
            true => assert_eq!(found, schema),
            false => assert_eq!(&found["properties"]["x"], schema),
        }
    };
    check(&item, "application/json", true);
    check(&json!({ "anyOf": [item, { "type": "null" }] }), "application/json", true);
    check(&json!({ "anyOf": [item, { "type": "string" }] }), "application/json", false);
    check(&json!({ "type": "object" }), "application/json", true);
    check(&json!({ "type": "array", "items": {} }), "application/json", true);
    check(&json!({ "type": "string", "format": "binary" }), "application/octet-stream", true);
    check(&json!({ "anyOf": [{ "type": "null" }] }), "application/json", false);
    check(&pair, "application/json", false);
    check(&json!({ "title": "torch.Tensor" }), "application/json", false);
    check(&json!({ "type": "string" }), "application/json", false);
}

#[test]
fn several_parameters_are_fields_of_the_body() {
    let item = json!({ "$ref": "#/components/schemas/Item" });
    let parameters = json!([
        parameter("id", json!({ "type": "integer" })),
        parameter("item", item),
        optional("count", json!({ "type": "integer", "default": 1 })),
    ]);
    let operation = operation("PUT /items/{id}", parameters, json!({ "Item": { "type": "object" } }));
    assert_eq!(
        operation["requestBody"],
        json!({
            "required": true,
            "content": { "application/json": { "schema": {
                "title": "Body_f", "type": "object", "required": ["item"],
                "properties": {
                    "item": { "$ref": "#/components/schemas/Item" },
                    "count": { "type": "integer", "default": 1 },
                },
            } } },
        })
    );
    assert!(operation["responses"].get("422").is_some());
}

#[test]
fn no_parameters_no_body_no_422() {
    let bare = operation("POST /f", json!([]), json!({}));
    assert_eq!(bare.get("requestBody"), None);
    assert_eq!(bare["responses"].get("422"), None);
    let open = operation("POST /f", json!([{ "name": "more", "kind": "var_keyword" }]), json!({}));
    assert_eq!(open["requestBody"]["content"]["application/json"]["schema"]["additionalProperties"], true);
    assert_eq!(open["requestBody"]["required"], false);
}

#[test]
fn one_path_for_all_names_of_its_parameters() {
    let document = described(
        vec![
            function("read", "GET /u/{id}", json!([parameter("id", json!({ "type": "integer" }))])),
            function("write", "POST /u/{user}", json!([parameter("user", json!({ "type": "string" }))])),
        ],
        json!({}),
    );
    let path = &document["paths"]["/u/{id}"];
    assert_eq!(path["get"]["parameters"][0]["schema"], json!({ "type": "integer" }));
    assert_eq!(path["post"]["parameters"][0]["schema"], json!({ "type": "string" }));
    assert_eq!(path["post"].get("requestBody"), None);
}

#[test]
fn results_and_documentation_are_told() {
    let mut told = function("f", "GET /f", json!([]));
    told["doc"] = json!("Finds things. In all places.");
    told["returns_schema"] = json!({ "type": "integer" });
    let document = described(vec![told], json!({}));
    let operation = &document["paths"]["/f"]["get"];
    assert_eq!(operation["summary"], "Finds things.");
    assert_eq!(operation["description"], "Finds things. In all places.");
    let result = &operation["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(result, &json!({ "type": "integer" }));
}

#[test]
fn a_class_is_its_one_method() {
    let method = |name: &str| {
        json!({
            "name": name, "is_async": false, "parameters": [parameter("x", json!({ "type": "integer" }))],
            "returns_schema": { "type": "boolean" },
        })
    };
    let class = |methods: Vec<Value>| {
        let mut class = function("Model", "POST /m", json!([optional("path", json!({ "type": "string" }))]));
        class["is_class"] = json!(true);
        class["methods"] = Value::Array(methods);
        described(vec![class], json!({}))["paths"].clone()
    };
    let one = class(vec![method("predict")]);
    let content = &one["/m"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(content["properties"], json!({ "x": { "type": "integer" } }));
    assert_eq!(class(vec![method("a"), method("b")]), json!({}));
    assert!(class(vec![])["/m"]["post"].get("requestBody").is_some());
}

#[test]
fn classes_of_the_project_keep_their_names() {
    let schemas = json!({ "Problem": { "type": "object" }, "ValidationError": { "type": "object" } });
    let parameters = json!([parameter("x", json!({ "$ref": "#/components/schemas/Problem" }))]);
    let document = described(vec![function("f", "POST /f", parameters)], schemas);
    let components = document["components"]["schemas"].as_object().unwrap();
    let names: Vec<&str> = components.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["FlashProblem", "FlashValidationError", "HTTPValidationError", "Problem", "ValidationError"]
    );
}

#[test]
fn the_problem_is_what_errors_are() {
    let mut sent = wire::Problem::new(Code::UserException, 500, "x").hint("y");
    sent.exception =
        Some(wire::RemoteException { kind: "E".into(), message: "m".into(), traceback: "t".into() });
    let sent = serde_json::to_value(sent).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let schema = problem();
    assert_eq!(keys(&schema["properties"]), keys(&sent));
    assert_eq!(keys(&schema["properties"]["exception"]["properties"]), keys(&sent["exception"]));
}

#[test]
fn examples_fit_their_schemas() {
    let schemas: BTreeMap<String, Value> = serde_json::from_value(json!({
        "Item": {
            "type": "object", "required": ["name", "color", "next"],
            "properties": {
                "name": { "type": "string", "minLength": 7, "maxLength": 8 }, "color": { "enum": ["red", "blue"] },
                "size": { "type": "integer" }, "next": { "$ref": "#/components/schemas/Leaf" },
            },
        },
        "Leaf": { "type": "object", "properties": {} },
        "Endless": {
            "type": "object", "required": ["x"], "properties": { "x": { "$ref": "#/components/schemas/Endless" } },
        },
        "Circle": { "$ref": "#/components/schemas/Circle" },
    }))
    .unwrap();
    let check = |schema: Value, expected: Value| assert_eq!(example(&schema, &schemas), expected, "{schema}");
    check(
        json!({ "$ref": "#/components/schemas/Item" }),
        json!({ "name": "hellohe", "color": "red", "next": {} }),
    );
    check(json!({ "$ref": "#/components/schemas/Circle" }), json!({}));
    check(json!({ "$ref": "#/components/schemas/Nothing" }), json!({}));
    check(json!({ "type": "integer", "minimum": 5 }), json!(5));
    check(json!({ "type": "integer", "exclusiveMaximum": 0 }), json!(-1));
    check(json!({ "type": "number", "exclusiveMinimum": 2 }), json!(2.5));
    check(json!({ "type": "array", "items": { "type": "integer" } }), json!([1, 2]));
    check(
        json!({ "type": "array", "items": { "type": "string" }, "minItems": 2 }),
        json!(["hello", "hello"]),
    );
    check(json!({ "type": "array", "items": {} }), json!([]));
    check(
        json!({ "type": "array", "prefixItems": [{ "type": "string" }, { "const": 3 }] }),
        json!(["hello", 3]),
    );
    check(json!({ "anyOf": [{ "type": "null" }, { "type": "boolean" }] }), json!(true));
    check(json!({ "type": "string", "examples": ["cat"] }), json!("cat"));
    check(json!({ "title": "torch.Tensor" }), json!({}));
    assert!(example(&json!({ "$ref": "#/components/schemas/Endless" }), &schemas).to_string().len() < 100);
}
