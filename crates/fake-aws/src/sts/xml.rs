//! XML of the query protocol, which STS and IAM share.

use crate::unique::unique;
use hyper::StatusCode;

/// The answer to an operation, with its result if it has one.
pub(crate) fn success(namespace: &str, operation: &str, result: Option<&str>) -> String {
    let result = result.map(|content| format!("<{operation}Result>{content}</{operation}Result>"));
    let id = element("RequestId", &unique());
    format!(
        "<{operation}Response xmlns=\"{namespace}\">{}<ResponseMetadata>{id}</ResponseMetadata></{operation}Response>",
        result.unwrap_or_default()
    )
}

/// The answer to a refused request.
pub(crate) fn refusal(namespace: &str, (code, status): (&str, StatusCode), sentence: &str) -> String {
    let side = if status.is_server_error() { "Receiver" } else { "Sender" };
    let parts = [element("Type", side), element("Code", code), element("Message", sentence)];
    let id = element("RequestId", &unique());
    format!("<ErrorResponse xmlns=\"{namespace}\"><Error>{}</Error>{id}</ErrorResponse>", parts.concat())
}

/// An element with text.
pub(crate) fn element(name: &str, text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<{name}>{text}</{name}>")
}
