//! A copy-pasteable `curl` line per callable function.

use flash_model::{HttpMethod, Manifest};
use serde_json::Value;

use crate::example_call::{self, Body, ExampleCall};

pub(crate) fn lines(manifest: &Manifest, url: &str) -> Vec<String> {
    example_call::all(manifest).iter().map(|call| line(call, url)).collect()
}

fn line(call: &ExampleCall, url: &str) -> String {
    let method = call.method;
    let url = format!("{url}{}", call.path);
    match &call.body {
        None => {
            let url = if url.contains('?') { format!("'{url}'") } else { url };
            if method == HttpMethod::Get { format!("curl {url}") } else { format!("curl -X {method} {url}") }
        }
        Some(Body::Bytes(bytes)) => {
            let kind = "Content-Type: application/octet-stream";
            format!("curl -X {method} {url} -H '{kind}' --data-binary '{bytes}'")
        }
        Some(Body::Json(body)) if method == HttpMethod::Post => format!("curl {}", post(&url, body)),
        Some(Body::Json(body)) => format!("curl -X {method} {}", post(&url, body)),
    }
}

fn post(url: &str, body: &Value) -> String {
    let body = body.to_string().replace('\'', "'\\''");
    format!("{url} -H 'Content-Type: application/json' -d '{body}'")
}

#[cfg(test)]
mod tests {
    use flash_scan::{SourceTree, scan};

    use super::lines;

    const PROJECT: &str = r#"
import datetime
from enum import Enum
from pydantic import BaseModel, Field
from tetra_rp import CpuLiveLoadBalancer, CpuLiveServerless, remote

api = CpuLiveLoadBalancer(name="api")
jobs = CpuLiveServerless(name="jobs")

class Color(str, Enum):
    RED = "red"

class Part(BaseModel):
    size: int = Field(ge=10)

class Item(BaseModel):
    name: str
    color: Color
    parts: list[Part]
    note: str | None = None

@remote(api, method="POST", path="/a-model")
async def a_model(item: Item, limit: int = 5): ...

@remote(api, method="PUT", path="/b-fields/{rest:path}")
async def b_fields(rest: str, item: Item, day: datetime.date): ...

@remote(api, method="PUT", path="/b-upload")
async def b_upload(data: bytes): ...

@remote(api, method="GET", path="/c-query/{color}")
async def c_query(color: Color = Color.RED, *, words: list[str], item: Part): ...

@remote(api, method="POST", path="/d-class")
class Single:
    def run(self, item: Part): ...

@remote(jobs)
def job(item: Part | None, tensor: "torch.Tensor"): ...
"#;

    #[test]
    fn lines_hold_arguments_that_fit() {
        let mut tree = SourceTree::new("p");
        tree.insert("main.py", PROJECT.as_bytes().to_vec());
        let expected = [
            r#"curl U/lb/api/d-class -H 'Content-Type: application/json' -d '{"size":10}'"#,
            r#"curl U/lb/api/a-model -H 'Content-Type: application/json' -d '{"color":"red","name":"hello","parts":[{"size":10}]}'"#,
            r#"curl -X PUT U/lb/api/b-fields/hello -H 'Content-Type: application/json' -d '{"day":"2026-01-31","item":{"color":"red","name":"hello","parts":[{"size":10}]}}'"#,
            r#"curl -X PUT U/lb/api/b-upload -H 'Content-Type: application/octet-stream' --data-binary 'hello'"#,
            r#"curl 'U/lb/api/c-query/red?words=hello&item=%7B%22size%22:10%7D'"#,
            r#"curl U/v2/jobs/runsync -H 'Content-Type: application/json' -d '{"input":{"item":{"size":10},"tensor":{}}}'"#,
        ];
        assert_eq!(lines(&scan(&tree).manifest, "U"), expected);
    }
}
