//! Row: all that is known of one kind of symptom, and the table that is checked when compiled.

use super::Delivery;

/// How far a call had come when the network broke it, in the order of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Station {
    /// Looking up a name.
    Dns,
    /// Opening the TCP connection.
    Tcp,
    /// Asking the proxy for a tunnel.
    Proxy,
    /// The TLS handshake.
    Tls,
    /// Agreeing on HTTP/2 inside the handshake.
    Alpn,
    /// Waiting for the peer's HTTP/2 SETTINGS, before any request.
    Http2,
    /// The request was handed to the connection; no answer yet.
    Request,
    /// The head of an answer.
    Answer,
    /// The body of an answer.
    Body,
    /// The end of an answer.
    Trailers,
}

/// What a symptom, met on gRPC, says about gRPC on this network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Nothing.
    No,
    /// gRPC is suspect: a probe decides.
    Ambiguous,
    /// gRPC is broken here; one counts.
    Certain,
}

/// Where a call goes if it may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// On a new connection of the same transport.
    Same,
    /// On the other transport.
    Other,
    /// Nowhere, though it was not sent: asking once more would do harm.
    Nowhere,
}

/// One kind of symptom.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) station: Station,
    pub(super) delivery: Delivery,
    pub(super) mark: Mark,
    pub(super) again: Again,
    /// What the peer did; reads on from the name of the hop.
    pub(super) text: &'static str,
    /// What a person can do about it.
    pub(super) advice: &'static str,
    /// What a person can do where the proxy itself fails like that; `None` if it is the same.
    pub(super) at_proxy: Option<&'static str>,
}

/// Makes the enum of kinds, the list of all of them, and their table out of one list of rows. Rust
/// cannot count the variants of an enum; so a kind without its row, or one that `ALL` lacks, cannot
/// be written.
macro_rules! symptoms {
    ($(
        $(#[$doc:meta])*
        $kind:ident = $name:literal, $station:ident, $delivery:ident, $mark:ident, $again:ident,
            $text:literal, $advice:ident, $at_proxy:ident;
    )*) => {
        /// Each way a network breaks a call.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum SymptomKind {
            $($(#[$doc])* $kind,)*
        }

        impl SymptomKind {
            /// Every kind, in the order of the way.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            const ROWS: [&Row; Self::ALL.len()] = [$(Self::$kind.row()),*];

            pub(super) const fn row(self) -> &'static Row {
                match self {
                    $(Self::$kind => &Row {
                        name: $name,
                        station: Station::$station,
                        delivery: Delivery::$delivery,
                        mark: Mark::$mark,
                        again: Again::$again,
                        text: $text,
                        advice: $advice,
                        at_proxy: $at_proxy,
                    },)*
                }
            }
        }
    };
}
pub(super) use symptoms;

/// Stops the build if the table contradicts itself.
#[expect(clippy::indexing_slicing, reason = "the compiler does it")]
pub(super) const fn check(rows: &[&Row]) {
    let mut place = 0;
    while place < rows.len() {
        let row = rows[place];
        let is_before_request = (row.station as u8) < Station::Request as u8;
        let is_unsent = matches!(row.delivery, Delivery::NotSent);
        assert!(!is_before_request || is_unsent, "nothing is sent before HTTP/2 is settled");
        let is_outage = row.station as u8 <= Station::Proxy as u8;
        assert!(!is_outage || matches!(row.mark, Mark::No), "an outage says nothing of gRPC");
        if place > 0 {
            let before = rows[place - 1];
            assert!(before.station as u8 <= row.station as u8, "the rows are out of order");
        }
        place += 1;
    }
}
