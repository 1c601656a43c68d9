//! Documents of every vocabulary, and documents that try to make the scanner stumble.

use super::*;

/// Kinds and texts, in document order.
fn found(xml: &str, wanted: Wanted) -> Vec<(RefKind, String)> {
    let mut found = Found::default();
    scan(xml.as_bytes(), wanted, &mut found);
    let text = |r| String::from_utf8_lossy(found.text(r, xml.as_bytes())).into_owned();
    found.refs.iter().map(|r| (r.kind, text(r))).collect()
}

#[track_caller]
fn finds(xml: &str, expected: &[(RefKind, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(k, t)| (*k, t.to_string())).collect();
    assert_eq!(found(xml, Wanted::ALL), expected, "{xml}");
}

use RefKind::{Image, Link, Media, Object, Page, Sitemap, Style};

#[test]
fn sitemaps() {
    finds(
        "<?xml version='1.0'?>\n<urlset xmlns='x'><url><loc>\n http://a/1?x=1&amp;y=2 </loc><image:image>\
         <image:loc>http://a/i.png</image:loc></image:image><xhtml:link rel='alternate' href='/de'/></url>\
         <url><loc><![CDATA[http://a/2?a&b]]></loc><lastmod>2024</lastmod></url></urlset>",
        &[
            (Page, "http://a/1?x=1&y=2"),
            (Image, "http://a/i.png"),
            (Link, "/de"),
            (Page, "http://a/2?a&b"),
        ],
    );
    finds(
        "<s:sitemapindex><s:sitemap><s:loc>/s1.xml</s:loc></s:sitemap></s:sitemapindex>",
        &[(Sitemap, "/s1.xml")],
    );
}

#[test]
fn rss() {
    finds(
        "<rss><channel><link>http://a/</link><atom:link href='/feed' rel='self'/><image><url>http://a/logo.gif</url>\
         <link>http://a/home</link></image><item><link> http://a/1<!-- no -->2<![CDATA[3]]> </link>\
         <guid>http://a/g</guid><enclosure url='/e.mp3' length='1'/><comments>/c</comments></item>\
         <item><guid isPermaLink='false'>http://a/not</guid><guid>tag:no</guid><url>http://a/not</url>\
         <media:content url='/v.mp4'/><media:thumbnail url=/t.jpg /></item></channel></rss>",
        &[
            (Page, "http://a/"),
            (Link, "/feed"),
            (Image, "http://a/logo.gif"),
            (Page, "http://a/home"),
            (Page, "http://a/123"),
            (Page, "http://a/g"),
            (Media, "/e.mp3"),
            (Page, "/c"),
            (Media, "/v.mp4"),
            (Image, "/t.jpg"),
        ],
    );
}

#[test]
fn atom_and_its_base() {
    let xml = "<?xml-stylesheet type='text/xsl' href='/a.xsl'?><feed xml:base='http://b.test/x&#x2F;'>\
        <link href='1'/><link rel='enclosure' href='2'/><entry xml:base='/no'><content src='3'/><id>http://no/</id>\
        <icon>4</icon></entry></feed>";
    finds(
        xml,
        &[
            (Style, "/a.xsl"),
            (Link, "1"),
            (Media, "2"),
            (Page, "3"),
            (Image, "4"),
        ],
    );
    let mut found = Found::default();
    scan(xml.as_bytes(), Wanted::PAGES, &mut found);
    assert_eq!(
        found.base_text(xml.as_bytes()),
        Some(b"http://b.test/x/".as_slice())
    );
}

#[test]
fn other_vocabularies() {
    finds(
        "<opml><outline xmlUrl='/f' htmlUrl='/h'/></opml>",
        &[(Page, "/f"), (Page, "/h")],
    );
    finds(
        "<d xlink:href='/x'><s:image xlink:href='/no' href='/i'/><xi:include href='/p'/></d>",
        &[(Page, "/x"), (Image, "/i"), (Object, "/p")],
    );
}

#[test]
fn what_is_not_wanted_is_not_taken() {
    let xml = "<?xml-stylesheet href='/s'?><rss><link>/p</link><enclosure url='/m'/><icon>/i</icon></rss>";
    assert_eq!(found(xml, Wanted::PAGES), [(Page, "/p".to_string())]);
    let images = [(Page, "/p".to_string()), (Image, "/i".to_string())];
    assert_eq!(found(xml, Wanted::IMAGES), images);
}

#[test]
fn nofollow_is_told() {
    let xml = b"<x><a href='/1' rel='me NoFollow'/><a href='/2'/></x>";
    let mut found = Found::default();
    scan(xml, Wanted::ALL, &mut found);
    let told: Vec<_> = found.refs.iter().map(|r| r.nofollow).collect();
    assert_eq!(told, [true, false]);
}

#[test]
fn a_document_type_declares_nothing() {
    finds(
        "<!DOCTYPE r [<!ENTITY e \"<link>/no</link>\"> <!-- ' > --> <?p ' ?> <!ENTITY f SYSTEM 'file:///etc/passwd'>]>\
         <r><link>/a&e;&f;&amp;&#65;&#x42;&#0;&#xD800;&bad</link></r>",
        &[(Page, "/a&e;&f;&AB&#0;&#xD800;&bad")],
    );
}

#[test]
fn what_is_not_well_formed_is_read_on() {
    finds(
        "<a href='/1' <b href=/2><c href",
        &[(Page, "/1"), (Page, "/2")],
    );
    finds("<loc>/1</loc><loc>/2", &[(Page, "/1")]);
    finds("a < b <loc>1 < 2</loc>", &[(Page, "1 < 2")]);
    finds("<loc>/a<b/>/c</loc>", &[]);
    finds("<loc></loc><loc>#top</loc><a href=''/>", &[]);
    finds("<loc><![CDATA[/x", &[]);
    finds("<!-- <loc>/x</loc>", &[]);
}

#[test]
fn limits_hold_and_are_counted() {
    let long = "x".repeat(REFERENCE_BYTES_MAX + 1);
    let xml = format!(
        "<r><loc>{long}</loc><a href='{long}'/><loc>{}</loc></r>",
        &long[1..]
    );
    let mut found = Found::default();
    scan(xml.as_bytes(), Wanted::ALL, &mut found);
    assert_eq!((found.refs.len(), found.too_long), (1, 2));
}

#[test]
fn the_root_and_the_prolog() {
    assert_eq!(root(b"<?xml ?><!DOCTYPE html><x:html a='b'><svg>"), b"html");
    assert_eq!(root(b"no markup"), b"");
    let xml = b"<?xml-stylesheet href='/s.css'?><svg><?xml-stylesheet href='/no'?></svg>";
    let mut found = Found::default();
    scan_prolog(xml, Wanted::ALL, &mut found);
    assert_eq!(found.refs.len(), 1);
    assert_eq!(found.text(&found.refs[0], xml), b"/s.css");
}

#[test]
fn any_cut_of_a_document_is_read() {
    let xml = "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><!-- d --><rss><link>&amp;&#1;</link><![CDATA[e]]></rss>";
    for at in 0..xml.len() {
        found(&xml[at..], Wanted::ALL);
        found(&xml[..at], Wanted::ALL);
    }
}
