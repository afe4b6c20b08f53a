//! Plays a script: head, pieces with their delays, and the fault at its place.
//!
//! The plan is a plain list of steps, made before the first byte is sent.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use tokio::time::sleep;

use super::record::Answering;
use super::script::{ErrorReply, Fault, Script};
use super::wire::{Frame, Frames, Turn, Wire};

/// One thing that happens to the body.
enum Step {
    Wait(Duration),
    Send(Bytes),
    /// Nothing more, with the connection open.
    Hang,
    /// The connection is cut.
    Cut,
    /// The body ends properly.
    End,
}

pub async fn respond(wire: Wire, turn: Turn<'_>, answering: Answering) -> Response {
    let script = turn.script;
    sleep(Duration::from_millis(script.head_delay_ms)).await;
    if script.fault == Some(Fault::HangBeforeHead) {
        let never: Infallible = std::future::pending().await;
        match never {}
    }
    if let Some(error) = &script.error {
        answering.done();
        return refuse(wire, error);
    }
    let steps = plan(wire.frames(&turn), script);
    let body = stream::unfold((steps, answering), |(mut steps, answering)| async move {
        let sent = next(&mut steps).await;
        if !matches!(sent, Some(Ok(_))) {
            answering.done();
        }
        sent.map(|chunk| (chunk, (steps, answering)))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(body)).into_response()
}

/// Plays steps up to the next thing that is sent; `None` ends the body.
async fn next(steps: &mut VecDeque<Step>) -> Option<io::Result<Bytes>> {
    loop {
        match steps.pop_front()? {
            Step::Wait(pause) => sleep(pause).await,
            Step::Send(bytes) => return Some(Ok(bytes)),
            Step::Hang => std::future::pending().await,
            Step::Cut => return Some(Err(io::ErrorKind::ConnectionReset.into())),
            Step::End => return None,
        }
    }
}

fn plan(frames: Frames, script: &Script) -> VecDeque<Step> {
    let Frames { mut body, end, error } = frames;
    let ending = match script.fault {
        None | Some(Fault::HangBeforeHead) => {
            body.extend(end);
            Step::End
        }
        Some(Fault::NoFinish) => Step::End,
        Some(Fault::HangMidStream) => cut_at_middle(&mut body, None, Step::Hang),
        Some(Fault::DropMidStream) => cut_at_middle(&mut body, None, Step::Cut),
        Some(Fault::ErrorEvent) => cut_at_middle(&mut body, Some(error), Step::End),
        Some(Fault::Malformed) => {
            let broken = Frame { bytes: "data: {\"choices\":[{\"delta\":\n\n".to_owned(), paced: false };
            cut_at_middle(&mut body, Some(broken), Step::End)
        }
    };
    let mut steps = VecDeque::new();
    for frame in body {
        if frame.paced && script.delay_ms > 0 {
            steps.push_back(Step::Wait(Duration::from_millis(script.delay_ms)));
        }
        let size = script.split_bytes.unwrap_or(frame.bytes.len()).max(1);
        steps.extend(frame.bytes.as_bytes().chunks(size).map(|piece| Step::Send(Bytes::copy_from_slice(piece))));
    }
    steps.push_back(ending);
    steps
}

/// Keeps everything up to half of the pieces of text, then `last`, then `ending`.
fn cut_at_middle(body: &mut Vec<Frame>, last: Option<Frame>, ending: Step) -> Step {
    let pieces: Vec<usize> = body.iter().enumerate().filter(|(_, frame)| frame.paced).map(|(at, _)| at).collect();
    let keep = pieces.get(pieces.len().saturating_sub(1) / 2).map_or(body.len(), |at| at + 1);
    body.truncate(keep);
    body.extend(last);
    ending
}

fn refuse(wire: Wire, error: &ErrorReply) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = error.body.clone().unwrap_or_else(|| wire.error_body(status));
    let mut response = (status, axum::Json(body)).into_response();
    for (name, value) in &error.headers {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
