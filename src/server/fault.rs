//! What is answered when a request cannot be: MLflow's error codes and their statuses, with a sentence for people.
//!
//! Clients try again after 408, 429 and every 5xx, for minutes. A mistake of the client is therefore never one of those: it
//! would come again.

use hyper::StatusCode;

use crate::store::StoreError;

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub code: Code,
    pub message: String,
}

/// MLflow's names of what can be wrong, as far as they are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The request is no request: not JSON, not this content type.
    BadRequest,
    InvalidParameterValue,
    ResourceAlreadyExists,
    Unauthenticated,
    PermissionDenied,
    ResourceDoesNotExist,
    EndpointNotFound,
    MethodNotAllowed,
    /// A body or an address that is longer than is taken.
    TooLong,
    InternalError,
    NotImplemented,
    TemporarilyUnavailable,
}

impl Code {
    /// The name in the answer.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "BAD_REQUEST",
            Self::InvalidParameterValue | Self::TooLong | Self::MethodNotAllowed => "INVALID_PARAMETER_VALUE",
            Self::ResourceAlreadyExists => "RESOURCE_ALREADY_EXISTS",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceDoesNotExist => "RESOURCE_DOES_NOT_EXIST",
            Self::EndpointNotFound => "ENDPOINT_NOT_FOUND",
            Self::InternalError => "INTERNAL_ERROR",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::TemporarilyUnavailable => "TEMPORARILY_UNAVAILABLE",
        }
    }

    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest | Self::InvalidParameterValue | Self::ResourceAlreadyExists => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::ResourceDoesNotExist | Self::EndpointNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl Fault {
    /// A fault with its sentence.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A value that is not what it must be.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidParameterValue, message)
    }

    /// Something that is not there.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(Code::ResourceDoesNotExist, message)
    }

    /// Something that is refused whoever asks again.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, message)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::UnknownRun { .. }
            | StoreError::AmbiguousRun { .. }
            | StoreError::AmbiguousName { .. }
            | StoreError::NoRuns { .. } => Code::ResourceDoesNotExist,
            StoreError::Query { .. } | StoreError::NotLogged { .. } | StoreError::NotPlanned { .. } => {
                Code::InvalidParameterValue
            }
            StoreError::ReadOnly { .. } => Code::PermissionDenied,
            // Somebody else writes it now, or must make room: later it may be done.
            StoreError::Held { .. } | StoreError::DiskFull { .. } => Code::TemporarilyUnavailable,
            _ => Code::InternalError,
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_of_the_client_is_never_tried_again() {
        for code in [
            Code::BadRequest,
            Code::InvalidParameterValue,
            Code::ResourceAlreadyExists,
            Code::Unauthenticated,
            Code::PermissionDenied,
            Code::ResourceDoesNotExist,
            Code::EndpointNotFound,
            Code::MethodNotAllowed,
            Code::TooLong,
        ] {
            let status = code.status();
            assert!(status.is_client_error() && ![408, 429].contains(&status.as_u16()), "{code:?}");
        }
        assert_eq!(Code::NotImplemented.status().as_u16(), 501);
    }
}
