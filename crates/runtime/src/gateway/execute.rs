//! `POST /execute` of a live development endpoint: source of a function and its arguments, run as one call of a worker.

use flash_model::{Code, EndpointKind};
use http::{Method, Request};
use hyper::body::Incoming;

use super::respond::{self, Response};
use super::spans::trace_of;
use super::{Front, Gateway};
use crate::refusal::Refusal;
use crate::worker::Call;
use crate::worker::protocol::CallHeader;

const EXECUTE_PATH: &str = "/execute";

impl Gateway {
    /// A route of the project at that path is the project's, and so is all of a web application.
    pub(super) fn is_execute(&self, path: &str) -> bool {
        path == EXECUTE_PATH
            && match &self.front {
                Front::Routes(routes, _) => !routes.has(path),
                Front::Jobs(_) => true,
                Front::Application(_) => false,
            }
    }

    pub(super) async fn execute(&self, request: Request<Incoming>) -> Result<Response, Refusal> {
        if self.kind() == EndpointKind::Queue {
            return Err(absent(
                "a queue endpoint has no /execute",
                "send a job: its input may be the pickled form",
            ));
        }
        if !self.is_live {
            let hint =
                "only a development endpoint of a Live…LoadBalancer class runs code that is sent to it";
            return Err(absent("this endpoint is not live and has no /execute", hint));
        }
        super::require(&request, &Method::POST)?;
        self.authorize(request.headers())?;
        let (parts, body) = request.into_parts();
        let call = Call {
            function: "execute",
            // Nobody knows whether the code blocks before it has run.
            is_sync: true,
            trace: trace_of(&parts.extensions),
            header: CallHeader { form: "execute".into(), ..CallHeader::default() }.encode(),
            body: respond::read_body(body).await?,
        };
        Ok(respond::bytes(respond::JSON, self.pool.call(call).await?))
    }
}

fn absent(detail: &str, hint: &str) -> Refusal {
    Refusal::new(Code::NoRoute, 404, detail).hint(hint)
}
