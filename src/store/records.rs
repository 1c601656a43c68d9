//! The records that the store itself makes: what opens a segment, and revisits.

use crate::config::{Config, Robots};
use crate::event::{CrawlIdentity, Page};
use crate::parse::record::{page_fields, page_record_id};
use crate::protocol::warc::{
    END, Fields, HTTP_RESPONSE, IDENTICAL_PAYLOAD, record_id, rewrite_chunked,
};
use crate::time::Wall;

/// What `warcinfo` records say about a crawl.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Program and version.
    pub software: String,
    /// Who can be asked; empty where nobody was named.
    pub operator: String,
    /// User-Agent field of the requests.
    pub user_agent: String,
    /// From field of the requests; empty where none is sent.
    pub from: String,
    /// Whether robots.txt is obeyed.
    pub robots: String,
    /// What the crawl is.
    pub description: String,
}

impl About {
    /// From what the user asked for.
    pub fn of(config: &Config) -> Self {
        Self {
            software: concat!("cyclosa/", env!("CARGO_PKG_VERSION")).into(),
            operator: config.contact.clone().unwrap_or_default(),
            user_agent: config.user_agent.clone(),
            from: config.mailbox().unwrap_or_default().to_owned(),
            robots: match config.robots {
                Robots::Obey => "obeyed (RFC 9309)",
                Robots::Ignore => "ignored",
            }
            .into(),
            description: format!(
                "crawl from {} seeds, scope {:?}",
                config.seeds.len(),
                config.scope
            )
            .to_lowercase(),
        }
    }
}

/// Replaces `out` by the `warcinfo` record that opens `segment` (file `name`), before compression.
pub fn warcinfo(
    crawl: &CrawlIdentity,
    about: &About,
    segment: u32,
    name: &str,
    wall: Wall,
    out: &mut Vec<u8>,
) {
    let mut block = String::new();
    for (field, value) in [
        ("software", about.software.as_str()),
        ("format", "WARC File Format 1.1"),
        (
            "conformsTo",
            "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
        ),
        ("robots", &about.robots),
        ("operator", &about.operator),
        ("http-header-user-agent", &about.user_agent),
        ("http-header-from", &about.from),
        ("description", &about.description),
    ] {
        if !value.is_empty() {
            let clean = value.chars().map(|c| if c.is_control() { ' ' } else { c });
            block.extend(
                field
                    .chars()
                    .chain(": ".chars())
                    .chain(clean)
                    .chain("\r\n".chars()),
            );
        }
    }
    let mut parts = [0; 28];
    parts[..16].copy_from_slice(&crawl.id);
    parts[16..24].copy_from_slice(b"warcinfo");
    parts[24..].copy_from_slice(&segment.to_le_bytes());
    out.clear();
    let mut fields = Fields::begin(out, "warcinfo", record_id(&parts), wall);
    fields.text("WARC-Filename", name);
    fields.end("application/warc-fields", block.len());
    out.extend_from_slice(block.as_bytes());
    out.extend_from_slice(END);
}

/// Replaces `out` by the revisit record of a page whose payload was stored for `url` at `wall`: the HTTP head without a
/// body. `head` is scratch.
pub fn revisit(
    crawl: &CrawlIdentity,
    page: &Page,
    (url, wall): (&[u8], Wall),
    head: &mut Vec<u8>,
    out: &mut Vec<u8>,
) {
    head.clear();
    if page.facts.chunked {
        // A head that the parser rewrote already is copied.
        rewrite_chunked(page.head(), page.body_len(), &mut [], head);
    } else {
        head.extend_from_slice(page.head());
    }
    out.clear();
    let id = page_record_id(&crawl.id, page);
    let mut fields = Fields::begin(out, "revisit", id, page.fetched_at);
    page_fields(&mut fields, page);
    fields.text("WARC-Profile", IDENTICAL_PAYLOAD);
    fields.url("WARC-Refers-To-Target-URI", url);
    fields.date("WARC-Refers-To-Date", wall);
    fields.text("WARC-Truncated", "length");
    fields.end(HTTP_RESPONSE, head.len());
    out.extend_from_slice(head);
    out.extend_from_slice(END);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::record::tests::page;
    use crate::protocol::warc::Record;

    const CRAWL: CrawlIdentity = CrawlIdentity {
        id: [1; 16],
        key: [2; 32],
        created: 1_000,
    };

    #[test]
    fn a_warcinfo_says_who_crawled() {
        let config = Config {
            contact: Some("mailto:a@b.test\r\nrobots: none".into()),
            from: Some("c@d.test".into()),
            ..Config::default()
        };
        let mut out = Vec::new();
        warcinfo(
            &CRAWL,
            &About::of(&config),
            7,
            "segment-00007.warc.zst",
            1_000,
            &mut out,
        );
        let record = Record::read(&out).expect("a record");
        let block = String::from_utf8(record.block.to_vec()).expect("text");
        assert!(block.starts_with("software: cyclosa/"));
        assert!(block.contains("\r\nrobots: obeyed (RFC 9309)\r\n"));
        assert!(block.contains("\r\noperator: mailto:a@b.test  robots: none\r\n"));
        assert!(block.contains("\r\nhttp-header-from: c@d.test\r\n"));
        assert_eq!(
            record.field(b"warc-filename"),
            Some(&b"segment-00007.warc.zst"[..])
        );
    }

    #[test]
    fn a_revisit_has_the_head_and_names_the_original() {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let page = page("http://a.test/copy", head, b"body", 0);
        let (mut scratch, mut out) = (Vec::new(), Vec::new());
        revisit(
            &CRAWL,
            &page,
            (b"http://a.test/first\r\n", 5_000),
            &mut scratch,
            &mut out,
        );
        let record = Record::read(&out).expect("a record");
        assert_eq!(
            record.block,
            b"HTTP/1.1 200 OK\r\nX-Crawler-Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"
        );
        assert_eq!(
            record.field(b"warc-refers-to-target-uri"),
            Some(&b"http://a.test/first%0D%0A"[..])
        );
        assert_eq!(
            record.field(b"warc-refers-to-date"),
            Some(&b"1970-01-01T00:00:05Z"[..])
        );
        assert_eq!(
            record.field(b"warc-profile"),
            Some(IDENTICAL_PAYLOAD.as_bytes())
        );
    }
}
