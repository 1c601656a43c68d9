//! The link scanner against html5ever's tree: on real pages (below the directories in `CYCLOSA_PAGES`, separated by `:`,
//! and below /usr/share/doc), and on html5lib's tree construction cases (`CYCLOSA_SUITES`).
//!
//! Compared is the set of (kind, reference) per document. The tree has no links where its builder drops an element, and
//! none of `template` contents; the scanner has no tree. So a small share may differ, which is printed and bounded.

use cyclosa::protocol::charset;
use cyclosa::protocol::html::{Found, RefKind, Wanted, scan};
use html5ever::tendril::TendrilSink;
use html5ever::{ParseOpts, parse_document, tree_builder::TreeBuilderOpts};
use markup5ever_rcdom::{Handle, NodeData, RcDom};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Pages read at most, and bytes of one.
const PAGES_MAX: usize = 20_000;
const PAGE_BYTES_MAX: u64 = 2 << 20;

type Refs = BTreeSet<(&'static str, String)>;

/// As URL parsing takes it: without tabs, line ends and surrounding blanks; `None` for a place in the page itself.
fn cleaned(text: &str) -> Option<String> {
    let text: String = text
        .chars()
        .filter(|c| !matches!(c, '\t' | '\n' | '\r'))
        .collect();
    let text = text.trim_matches(|c| c <= ' ');
    (!text.is_empty() && !text.starts_with('#')).then(|| text.to_string())
}

/// `None` where a limit cut the findings short.
fn scanned(html: &[u8]) -> Option<Refs> {
    let mut found = Found::default();
    scan(html, Wanted::IMAGES, &mut found);
    if found.dropped + found.too_long > 0 {
        return None;
    }
    let mut refs = Refs::new();
    for r in &found.refs {
        let kind = match r.kind {
            RefKind::Page => "a",
            RefKind::Frame => "frame",
            RefKind::Link => "link",
            RefKind::Image => "image",
            _ => continue,
        };
        if let Some(text) = cleaned(&String::from_utf8_lossy(found.text(r, html))) {
            refs.insert((kind, text));
        }
    }
    if let Some(base) = found.base_text(html) {
        refs.extend(cleaned(&String::from_utf8_lossy(base)).map(|b| ("base", b)));
    }
    Some(refs)
}

fn treed(html: &[u8]) -> Refs {
    let opts = ParseOpts {
        tree_builder: TreeBuilderOpts {
            scripting_enabled: false,
            ..Default::default()
        },
        ..Default::default()
    };
    let dom = parse_document(RcDom::default(), opts).from_utf8().one(html);
    let mut refs = Refs::new();
    let mut stack = vec![dom.document.clone()];
    while let Some(node) = stack.pop() {
        element(&node, &mut refs);
        // Last first, so that the first `base` comes first.
        stack.extend(node.children.borrow().iter().rev().cloned());
        if let NodeData::Element {
            template_contents, ..
        } = &node.data
        {
            stack.extend(template_contents.borrow().clone());
        }
    }
    refs
}

fn element(node: &Handle, refs: &mut Refs) {
    let NodeData::Element { name, attrs, .. } = &node.data else {
        return;
    };
    let attrs = attrs.borrow();
    let get = |wanted: &str| {
        let found = attrs
            .iter()
            .find(|a| &*a.name.local == wanted && a.name.prefix.is_none());
        found.map(|a| a.value.to_string())
    };
    let xlink = || {
        attrs
            .iter()
            .find(|a| a.name.prefix.as_deref() == Some("xlink") && &*a.name.local == "href")
            .map(|a| a.value.to_string())
    };
    let svg = &*name.ns == "http://www.w3.org/2000/svg";
    let (kind, text) = match &*name.local {
        "a" | "area" => ("a", get("href").or_else(|| xlink().filter(|_| svg))),
        "iframe" | "frame" => ("frame", get("src")),
        "img" => ("image", get("src")),
        "link" => match link_kind(&get("rel").unwrap_or_default()) {
            Some(kind) => (kind, get("href")),
            None => return,
        },
        "base" if !svg && !refs.iter().any(|(kind, _)| *kind == "base") => ("base", get("href")),
        _ => return,
    };
    refs.extend(text.and_then(|t| cleaned(&t)).map(|t| (kind, t)));
}

fn link_kind(rel: &str) -> Option<&'static str> {
    let rel = rel.to_ascii_lowercase();
    let has = |names: &[&str]| rel.split_ascii_whitespace().any(|t| names.contains(&t));
    if has(&["stylesheet"]) {
        None
    } else if has(&[
        "icon",
        "apple-touch-icon",
        "apple-touch-icon-precomposed",
        "apple-touch-startup-image",
        "mask-icon",
    ]) {
        Some("image")
    } else if has(&[
        "preload",
        "modulepreload",
        "prefetch",
        "subresource",
        "dns-prefetch",
        "preconnect",
    ]) {
        None
    } else {
        Some("link")
    }
}

/// Takes from `scanned` the images that the tree walk does not look for.
fn comparable(mut scanned: Refs, treed: &Refs) -> Refs {
    scanned.retain(|r| r.0 != "image" || treed.contains(r));
    scanned
}

fn html_files(folder: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<_> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    for path in paths {
        if out.len() >= PAGES_MAX || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            html_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "html" || e == "htm")
            && path.metadata().is_ok_and(|m| m.len() <= PAGE_BYTES_MAX)
        {
            out.push(path);
        }
    }
}

#[test]
fn real_pages_have_the_links_of_their_tree() {
    let mut files = Vec::new();
    let named = std::env::var_os("CYCLOSA_PAGES").unwrap_or_default();
    for folder in std::env::split_paths(&named) {
        html_files(&folder, &mut files);
    }
    html_files(Path::new("/usr/share/doc"), &mut files);
    if files.is_empty() {
        println!("skipped: no HTML below /usr/share/doc, and CYCLOSA_PAGES is not set");
        return;
    }
    let (mut total, mut missed, mut extra) = (0, Vec::new(), Vec::new());
    let (mut scratch, mut cut) = (String::new(), 0);
    for path in &files {
        let Ok(body) = fs::read(path) else { continue };
        let encoding = charset::encoding_of(&body, b"");
        let html = charset::to_utf8(&body, encoding, &mut scratch, usize::MAX >> 1).0;
        let Some(ours) = scanned(html) else {
            cut += 1;
            continue;
        };
        let tree = treed(html);
        total += tree.len();
        missed.extend(
            tree.difference(&ours)
                .map(|r| format!("{}: {r:?}", path.display())),
        );
        extra.extend(
            comparable(ours, &tree)
                .difference(&tree)
                .map(|r| format!("{}: {r:?}", path.display())),
        );
    }
    println!(
        "{} pages ({cut} beyond a limit, left out), {total} references: {} missed, {} extra",
        files.len(),
        missed.len(),
        extra.len()
    );
    for line in missed.iter().take(20) {
        println!("missed {line}");
    }
    for line in extra.iter().take(20) {
        println!("extra {line}");
    }
    // One in ten thousand, and one for small samples.
    assert!(
        missed.len() <= 1 + total / 10_000,
        "too many references missed"
    );
    assert!(
        extra.len() <= 1 + total / 1_000,
        "too many references that the tree has not"
    );
}

#[test]
fn tree_construction_cases_have_the_links_of_their_tree() {
    let Some(suites) = std::env::var_os("CYCLOSA_SUITES") else {
        println!("skipped: CYCLOSA_SUITES is not set");
        return;
    };
    let folder = Path::new(&suites).join("html5lib/tree-construction");
    let (mut cases, mut total, mut missed, mut extra) = (0, 0, Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).expect("suite folder") {
        let path = entry.expect("entry").path();
        if path.extension().is_none_or(|e| e != "dat") {
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(&path).expect("suite file")).into_owned();
        for case in text.split("#data\n").skip(1) {
            let data = case.split("\n#errors").next().unwrap_or_default();
            cases += 1;
            let tree = treed(data.as_bytes());
            let ours = scanned(data.as_bytes()).expect("small");
            total += tree.len();
            missed.extend(tree.difference(&ours).map(|r| format!("{r:?} in {data:?}")));
            extra.extend(
                comparable(ours, &tree)
                    .difference(&tree)
                    .map(|r| format!("{r:?} in {data:?}")),
            );
        }
    }
    println!(
        "{cases} cases, {total} references: {} missed, {} extra",
        missed.len(),
        extra.len()
    );
    for line in missed
        .iter()
        .map(|l| format!("missed {l}"))
        .chain(extra.iter().map(|l| format!("extra {l}")))
    {
        println!("{line}");
    }
    assert!(missed.is_empty() && extra.is_empty());
}
