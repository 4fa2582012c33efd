//! `Delivery`: what a failure proves about the request.

/// What a failure proves about the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// It never left this process.
    NotSent,
    /// The peer said, in a way the protocol guarantees, that it did not process it.
    Refused,
    /// Something on the way answered; whether the service saw the request is open.
    Answered,
    /// Nothing is known.
    Unknown,
    /// The service did the work.
    Processed,
}
