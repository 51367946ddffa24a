//! The one error type of the engine. It knows nothing of JavaScript: the binding turns it into a
//! `RustStoreError`. It must never carry a secret, neither in its text nor in its `Debug`.

use std::fmt;

/// What went wrong, as far as a program can act on it. Each kind has one stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An option or the URL is wrong. Nothing was opened.
    Config,
    /// The backend or the environment cannot do this at all.
    Unsupported,
    /// Nothing answers at the backend's place.
    Unavailable,
    /// No answer inside the deadline.
    Timeout,
    /// The backend refuses these credentials.
    Auth,
    /// Other saves kept coming between the compare and the write until the deadline.
    Conflict,
    /// Text that cannot be made from, or turned into, a session.
    Decode,
    /// A session or a sid above its limit. What was there before is kept.
    TooLarge,
    /// The store was closed.
    Closed,
    /// A fault of this package.
    Internal,
}

impl Kind {
    /// The stable code that users compare with.
    pub const fn code(self) -> &'static str {
        match self {
            Kind::Config => "ERR_STORE_CONFIG",
            Kind::Unsupported => "ERR_STORE_UNSUPPORTED",
            Kind::Unavailable => "ERR_STORE_UNAVAILABLE",
            Kind::Timeout => "ERR_STORE_TIMEOUT",
            Kind::Auth => "ERR_STORE_AUTH",
            Kind::Conflict => "ERR_STORE_CONFLICT",
            Kind::Decode => "ERR_STORE_DECODE",
            Kind::TooLarge => "ERR_STORE_TOO_LARGE",
            Kind::Closed => "ERR_STORE_CLOSED",
            Kind::Internal => "ERR_STORE_INTERNAL",
        }
    }

    /// Whether the same call may succeed if it is made again.
    pub const fn retryable(self) -> bool {
        matches!(self, Kind::Unavailable | Kind::Timeout | Kind::Conflict)
    }
}

/// A failed operation: what failed, where, and why.
///
/// One word: room for all of it in the result of every call, handed from layer to layer, took a
/// third of the time of a touch.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Failure>);

#[derive(Debug, thiserror::Error)]
struct Failure {
    kind: Kind,
    message: String,
    backend: &'static str,
    operation: &'static str,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of every operation of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind`. The message says what failed and what to do; where it failed is added
    /// by [`Error::at`] on the way out.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let message = message.into();
        Error(Box::new(Failure { kind, message, backend: "", operation: "", source: None }))
    }

    /// Adds what another library said.
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds the backend and the operation, unless they are known already.
    pub fn at(mut self, backend: &'static str, operation: &'static str) -> Self {
        if self.0.backend.is_empty() {
            self.0.backend = backend;
        }
        if self.0.operation.is_empty() {
            self.0.operation = operation;
        }
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The text without backend and operation.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Name of the backend, empty while none was chosen.
    pub fn backend(&self) -> &'static str {
        self.0.backend
    }

    /// Name of the method that failed.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.backend.is_empty() {
            write!(f, "{} ", self.backend)?;
        }
        if !self.operation.is_empty() {
            write!(f, "{}: ", self.operation)?;
        }
        f.write_str(&self.message)
    }
}
