//! What the driver and the server say when something fails, as one of our kinds. Knows no operation.
//! The driver's own texts name hosts and commands, never credentials; the server's are not repeated.

use mongodb::error::{Error as DriverError, ErrorKind, WriteFailure};

use crate::error::{Error, Kind};

// Codes of the server's errors (src/mongo/base/error_codes.yml in its sources).
const UNAUTHORIZED: i32 = 13;
const AUTHENTICATION_FAILED: i32 = 18;
const COMMAND_NOT_FOUND: i32 = 59;
const DUPLICATE_KEY: i32 = 11000;
const TOO_LARGE: [i32; 4] = [10334, 17419, 17420, 17280];
const TIMED_OUT: [i32; 3] = [50, 64, 262];
/// Not primary, stepping down, shutting down, no network to the others: another server will do.
const ELSEWHERE: [i32; 14] =
    [6, 7, 89, 91, 100, 189, 9001, 10058, 10107, 11600, 11602, 13435, 13436, 133];
/// A write that another one collided with; nothing was done.
const COLLIDED: i32 = 112;

/// A failure of the driver as ours.
pub fn told(error: DriverError) -> Error {
    // Some batches of it had been written; what stopped it lies beneath.
    if let ErrorKind::BulkWrite(_) = error.kind.as_ref()
        && let Some(beneath) = std::error::Error::source(&error)
        && let Some(beneath) = beneath.downcast_ref::<DriverError>()
    {
        return told(beneath.clone());
    }
    let Some(code) = code(&error) else {
        return match error.kind.as_ref() {
            ErrorKind::Authentication { .. } => Error::new(
                Kind::Auth,
                "the server refuses these credentials; check user, password and authSource",
            ),
            ErrorKind::Io(_)
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::ServerSelection { .. }
            | ErrorKind::DnsResolve { .. }
            | ErrorKind::Shutdown => unavailable(),
            ErrorKind::InvalidTlsConfig { .. } => {
                Error::new(Kind::Config, "the TLS files cannot be used; see the cause")
            }
            ErrorKind::Bson(_) | ErrorKind::InvalidResponse { .. } => {
                Error::new(Kind::Decode, "the server's answer cannot be read")
            }
            _ => Error::new(Kind::Internal, "the driver refuses the command; see the cause"),
        }
        .because(error.kind.to_string());
    };
    of_code(code).because(format!("MongoDB's error {code}{}", name(&error)))
}

/// What the server calls an error. Its message is left out: it may repeat an `_id`, which is a sid.
fn name(error: &DriverError) -> String {
    let name = match error.kind.as_ref() {
        ErrorKind::Command(error) => &error.code_name,
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => &error.code_name,
        _ => return String::new(),
    };
    format!(", {name}")
}

/// A server's error as ours.
pub fn of_code(code: i32) -> Error {
    if ELSEWHERE.contains(&code) || code == COLLIDED {
        return unavailable();
    }
    match code {
        UNAUTHORIZED => Error::new(
            Kind::Auth,
            "the user may not do this; it needs the role readWrite on the database",
        ),
        AUTHENTICATION_FAILED => Error::new(
            Kind::Auth,
            "the server refuses these credentials; check user, password and authSource",
        ),
        code if TOO_LARGE.contains(&code) => Error::new(
            Kind::TooLarge,
            "the record would be larger than the 16 MiB of a document; what was stored before is kept",
        ),
        code if TIMED_OUT.contains(&code) => {
            Error::new(Kind::Timeout, "the server ran out of time for this")
        }
        code => Error::new(Kind::Internal, format!("the server refuses the command, code {code}")),
    }
}

fn unavailable() -> Error {
    Error::new(
        Kind::Unavailable,
        "no MongoDB server can take this now; it is tried again in the background",
    )
}

/// What a call is told whose answer did not come in time.
pub fn timed_out() -> Error {
    Error::new(Kind::Timeout, "the server did not answer in time")
}

/// The same failure for another call of the same batch.
pub fn again(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.message());
    match std::error::Error::source(error) {
        Some(source) => copy.because(source.to_string()),
        None => copy,
    }
}

/// Whether a second try of something that may be done twice can help.
pub fn is_passing(error: &DriverError) -> bool {
    match code(error) {
        Some(code) => ELSEWHERE.contains(&code) || code == COLLIDED,
        None => matches!(
            error.kind.as_ref(),
            ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. }
        ),
    }
}

/// Whether two writers made one document at once; the second try finds it there.
pub fn is_duplicate(code: i32) -> bool {
    code == DUPLICATE_KEY
}

/// Whether the server does not have this command, or not for this user.
pub fn is_unknown_command(error: &DriverError) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::IncompatibleServer { .. })
        || matches!(code(error), Some(COMMAND_NOT_FOUND | UNAUTHORIZED))
}

fn code(error: &DriverError) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(error) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => Some(error.code),
        _ => None,
    }
}
