//! An OpenAPI document as a page to read: complete in itself, without scripts, for any browser.

use std::fmt::Write as _;

use serde_json::{Map, Value};

const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}\
h1{font-size:1.5rem}h2{font-size:1.1rem;font-family:ui-monospace,monospace;border-top:1px solid #ccc;padding-top:1rem;overflow-wrap:anywhere}\
b{display:inline-block;min-width:4.5rem;color:#0b5fad}table{border-collapse:collapse;width:100%}\
td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #eee}\
code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f5f5f5;padding:.6rem;overflow:auto}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}b{color:#6ab7ff}pre{background:#222}\
h2,td,th{border-color:#444}a{color:#6ab7ff}}";

/// `prefix` is what the caller writes before each path.
pub(super) fn page(document: &Value, prefix: &str) -> String {
    let title = escaped(text(&document["info"]["title"]));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head>\n\
         <body><h1>{title}</h1>\n<p>Version <code>{}</code>. For programs: <a href=\"openapi.json\">openapi.json</a>.</p>\n",
        escaped(text(&document["info"]["version"])),
    );
    for (path, methods) in members(&document["paths"]) {
        for (method, operation) in members(methods) {
            add_operation(&mut page, &format!("{prefix}{path}"), method, operation);
        }
    }
    let schemas = &document["components"]["schemas"];
    let mut classes = members(schemas).peekable();
    if classes.peek().is_some() {
        page.push_str("<h1>Classes</h1>\n");
    }
    for (name, schema) in classes {
        add(&mut page, format_args!("<h2 id=\"{0}\">{0}</h2>\n", escaped(name)));
        add_json(&mut page, schema);
    }
    page.push_str("</body></html>\n");
    page
}

fn add_operation(page: &mut String, path: &str, method: &str, operation: &Value) {
    add(page, format_args!("<h2><b>{}</b>{}</h2>\n", escaped(&method.to_uppercase()), escaped(path)));
    let description = operation.get("description").or(operation.get("summary"));
    if let Some(description) = description {
        add(page, format_args!("<p>{}</p>\n", escaped(text(description))));
    }
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !parameters.is_empty() {
        page.push_str("<table><tr><th>parameter</th><th>in</th><th></th><th>schema</th></tr>\n");
        for parameter in parameters {
            add_parameter(page, parameter);
        }
        page.push_str("</table>\n");
    }
    add_contents(page, "Body", &operation["requestBody"]["content"]);
    add_contents(page, "Result", &operation["responses"]["200"]["content"]);
}

fn add_parameter(page: &mut String, parameter: &Value) {
    let schema = parameter.get("schema").unwrap_or(&parameter["content"]["application/json"]["schema"]);
    let is_required = parameter["required"] == true;
    add(
        page,
        format_args!(
            "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td><code>{}</code> {}</td></tr>\n",
            escaped(text(&parameter["name"])),
            escaped(text(&parameter["in"])),
            if is_required { "required" } else { "" },
            escaped(&schema.to_string()),
            escaped(text(&parameter["description"])),
        ),
    );
}

fn add_contents(page: &mut String, what: &str, contents: &Value) {
    for (media_type, content) in members(contents) {
        add(page, format_args!("<p>{what}: <code>{}</code></p>\n", escaped(media_type)));
        add_json(page, &content["schema"]);
    }
}

fn add_json(page: &mut String, value: &Value) {
    add(page, format_args!("<pre>{}</pre>\n", escaped(&format!("{value:#}"))));
}

fn add(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = page.write_fmt(text);
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_that_a_document_says_is_shown_as_text() {
        let page = page(
            &json!({
                "info": { "title": "<script>a</script>", "version": "1" },
                "paths": { "/users/{id}": { "get": {
                    "description": "Finds \"one\" & more.",
                    "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "integer" } }],
                    "responses": { "200": { "content": { "application/json": { "schema": { "title": "</pre>" } } } } },
                } } },
                "components": { "schemas": { "Item": { "type": "object" } } },
            }),
            "/lb/api",
        );
        for part in [
            "<b>GET</b>/lb/api/users/{id}",
            "Finds &quot;one&quot; &amp; more.",
            "<code>id</code></td><td>path</td><td>required</td>",
            "{&quot;type&quot;:&quot;integer&quot;}",
            "<h2 id=\"Item\">",
            "<a href=\"openapi.json\">",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        assert!(!page.contains("<script") && page.matches("</pre>").count() == 2, "{page}");
    }

    #[test]
    fn a_document_with_nothing_in_it_is_a_page_all_the_same() {
        assert!(page(&json!({}), "").ends_with("</body></html>\n"));
    }
}
