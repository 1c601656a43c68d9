//! How fetches end.
//!
//! What must hold: numbers and names are for good, as they stand in checkpoints, indexes and reports; every URL that ends
//! does so with one of [`Outcome::ALL`]. Deliberately absent: what follows from an outcome, which the frontier decides.

/// How a fetch ended. Exactly one per URL, counted by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
#[repr(u8)]
pub enum Outcome {
    /// Not known yet.
    #[default]
    Pending = 0,
    /// A complete response of any status.
    Fetched = 1,
    /// A response whose body was cut at the body limit; stored, marked `WARC-Truncated: length`.
    CutLength = 2,
    /// A response whose body was cut by the total or the minimum-rate clock; stored, marked `WARC-Truncated: time`.
    CutTime = 3,
    /// The server closed before the announced end; stored, marked `WARC-Truncated: disconnect`.
    CutDisconnect = 4,
    /// The name has no address or its servers did not answer.
    DnsFailed = 16,
    /// The server refused the connection, or no route leads to it.
    ConnectFailed = 17,
    /// No connection within the connect clock.
    ConnectTimeout = 18,
    /// The connection ended before a complete head came.
    ClosedEarly = 19,
    /// No byte of an answer within the first-byte clock, or a head that took longer than the total clock.
    FirstByteTimeout = 20,
    /// The head or the framing is not HTTP/1.x.
    BadResponse = 21,
    /// The head is longer than the limit.
    HeadTooLarge = 22,
    /// The request could not be sent (no descriptor free, a host that is no name for TLS).
    NotSent = 23,
    /// robots.txt could not be had (5xx or no answer), so nothing may be fetched (RFC 9309 2.3.1.4).
    RobotsUnreachable = 24,
    /// TLS: the server's certificate has expired, or is not valid yet.
    TlsExpired = 25,
    /// TLS: the certificate is not for this name (a name only in the subject, without SAN, is none: RFC 9525).
    TlsWrongName = 26,
    /// TLS: no chain leads from the certificate to an authority that is believed (unknown, self-signed, incomplete).
    TlsUntrusted = 27,
    /// TLS: a certificate that is malformed, not for servers, or has a key or signature too weak or wrong.
    TlsBadCertificate = 28,
    /// TLS: no common version or cipher, an alert, or bytes that are no TLS.
    TlsProtocol = 29,
    /// TLS: not agreed on within its clock.
    TlsTimeout = 30,
    /// TLS: the connection ended in the handshake.
    TlsClosed = 31,
    /// The proxy cannot be reached, does not speak its protocol, or does not take our login. No host's fault.
    ProxyFailed = 32,
    /// The proxy does not lead to this server.
    ProxyRefused = 33,
}

impl Outcome {
    /// All outcomes a URL can end with, in the order reports show them.
    pub const ALL: [Outcome; 22] = [
        Self::Fetched,
        Self::CutLength,
        Self::CutTime,
        Self::CutDisconnect,
        Self::DnsFailed,
        Self::ConnectFailed,
        Self::ConnectTimeout,
        Self::ClosedEarly,
        Self::FirstByteTimeout,
        Self::BadResponse,
        Self::HeadTooLarge,
        Self::NotSent,
        Self::RobotsUnreachable,
        Self::TlsExpired,
        Self::TlsWrongName,
        Self::TlsUntrusted,
        Self::TlsBadCertificate,
        Self::TlsProtocol,
        Self::TlsTimeout,
        Self::TlsClosed,
        Self::ProxyFailed,
        Self::ProxyRefused,
    ];

    /// Stable name, as reports, `urls` and `report.json` show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Fetched => "fetched",
            Self::CutLength => "cut_length",
            Self::CutTime => "cut_time",
            Self::CutDisconnect => "cut_disconnect",
            Self::DnsFailed => "dns_failed",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::ClosedEarly => "closed_early",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::BadResponse => "bad_response",
            Self::HeadTooLarge => "head_too_large",
            Self::NotSent => "not_sent",
            Self::RobotsUnreachable => "robots_unreachable",
            Self::TlsExpired => "tls_expired",
            Self::TlsWrongName => "tls_wrong_name",
            Self::TlsUntrusted => "tls_untrusted",
            Self::TlsBadCertificate => "tls_bad_certificate",
            Self::TlsProtocol => "tls_protocol",
            Self::TlsTimeout => "tls_timeout",
            Self::TlsClosed => "tls_closed",
            Self::ProxyFailed => "proxy_failed",
            Self::ProxyRefused => "proxy_refused",
        }
    }

    /// From its stored number.
    pub fn from_u8(n: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|o| *o as u8 == n)
    }

    /// Whether there is a response to store.
    pub fn has_response(self) -> bool {
        matches!(
            self,
            Self::Fetched | Self::CutLength | Self::CutTime | Self::CutDisconnect
        )
    }

    /// Value of `WARC-Truncated`, where the body was cut.
    pub fn truncated(self) -> Option<&'static str> {
        match self {
            Self::CutLength => Some("length"),
            Self::CutTime => Some("time"),
            Self::CutDisconnect => Some("disconnect"),
            _ => None,
        }
    }

    /// Whether trying again later may help.
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::DnsFailed
                | Self::ConnectFailed
                | Self::ConnectTimeout
                | Self::ClosedEarly
                | Self::FirstByteTimeout
                | Self::CutDisconnect
                | Self::TlsProtocol
                | Self::TlsTimeout
                | Self::TlsClosed
                | Self::ProxyFailed
        )
    }

    /// Whether the server showed a certificate that is not accepted. Every connection to it would end the same.
    pub fn is_certificate(self) -> bool {
        matches!(
            self,
            Self::TlsExpired | Self::TlsWrongName | Self::TlsUntrusted | Self::TlsBadCertificate
        )
    }

    /// Whether TLS was not agreed on.
    pub fn is_tls(self) -> bool {
        self.is_certificate()
            || matches!(self, Self::TlsProtocol | Self::TlsTimeout | Self::TlsClosed)
    }
}
