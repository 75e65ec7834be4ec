//! The body of an answer: there already, coming from a worker in parts, or passed on from an application.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::spans::Traced;
use crate::worker::Stream;
use crate::worker::pool::Lease;

pub(super) type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug)]
pub(crate) enum Content {
    Whole(Full<Bytes>),
    Parts(Stream),
    /// The worker's slot is taken until the body has ended.
    Passed {
        body: Incoming,
        _slot: Option<Lease>,
    },
    /// One of the others, which ends a span.
    Traced(Box<Traced>),
}

impl Body for Content {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
            Self::Parts(stream) => stream.poll_part(context).map(|part| {
                part.map(|part| {
                    part.map(Frame::data).map_err(|error| {
                        // All that a caller can be told now is that the body is not complete.
                        tracing::warn!(%error, "a stream is cut off");
                        error.into()
                    })
                })
            }),
            Self::Passed { body, .. } => Pin::new(body).poll_frame(context).map_err(Into::into),
            Self::Traced(traced) => traced.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Parts(_) => false,
            Self::Passed { body, .. } => body.is_end_stream(),
            Self::Traced(traced) => traced.body().is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Parts(_) => SizeHint::default(),
            Self::Passed { body, .. } => body.size_hint(),
            Self::Traced(traced) => traced.body().size_hint(),
        }
    }
}
