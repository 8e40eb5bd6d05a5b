//! The page of a server that was built without node.
//!
//! Owns: its text and the table of streams. Invariants: no script, and what publishers named is escaped. Does not: list
//! anything by itself; whoever serves it does, for those who may see it.

use std::fmt::Write;

use bytes::Bytes;
use http::Response;

use crate::answer;

/// Most rows of the table; the page is for a look, and the API has them all.
const MAX_ROWS: usize = 1000;

/// A stream as the plain page shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// Its path as players ask for it, such as `/live/x`; escaped here.
    pub path: &'a str,
    /// Its codecs in words, such as `H264 AAC`; escaped here.
    pub codecs: &'a str,
    /// What it brings, in kbit/s.
    pub kbps: u64,
    /// Viewers now.
    pub viewers: u64,
}

/// The plain page as the answer for `/console/`, with a table of `streams`; those past the thousandth are counted only.
/// Who may not see the streams gets the page with none: `None`.
#[must_use]
pub fn plain(streams: Option<&[Row<'_>]>) -> Response<Bytes> {
    answer::page(Bytes::from(html(streams)))
}

/// The page's text.
pub(crate) fn html(streams: Option<&[Row<'_>]>) -> String {
    let mut html = String::from(BEGIN);
    match streams {
        None => html.push_str(UNLISTED),
        Some([]) => html.push_str("<p>Nobody publishes a stream.</p>\n"),
        Some(rows) => table(rows, &mut html),
    }
    html.push_str(END);
    html
}

fn table(rows: &[Row<'_>], html: &mut String) {
    html.push_str(
        "<table border=\"1\" cellpadding=\"6\">\n<tr><th>Stream<th>Codecs<th>kbit/s<th>Viewers\n",
    );
    for row in rows.iter().take(MAX_ROWS) {
        html.push_str("<tr><td>");
        escape(row.path, html);
        html.push_str("<td>");
        escape(row.codecs, html);
        // writing to a string cannot fail
        let _ = writeln!(
            html,
            "<td align=\"right\">{}<td align=\"right\">{}",
            row.kbps, row.viewers
        );
    }
    html.push_str("</table>\n");
    let rest = rows.len().saturating_sub(MAX_ROWS);
    if rest > 0 {
        let _ = writeln!(html, "<p>And {rest} more.</p>");
    }
}

fn escape(text: &str, html: &mut String) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c if c.is_control() => html.push(char::REPLACEMENT_CHARACTER),
            c => html.push(c),
        }
    }
}

const BEGIN: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>Weir</title>
<h1>Weir</h1>
<p>This server was built without its web console. With node 18 or later on the machine that builds it,
<code>cargo xtask console</code> and then <code>cargo build --release</code> make the full one.</p>
<h2>Streams</h2>
";

const UNLISTED: &str =
    "<p>The list of streams is at <a href=\"/api/v1/streams\">/api/v1/streams</a>.</p>\n";

const END: &str = "<p>More is at <a href=\"/api/v1\">/api/v1</a>.</p>\n</html>\n";

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Row<'_> = Row {
        path: "/live/x",
        codecs: "H264 AAC",
        kbps: 2500,
        viewers: 3,
    };

    #[test]
    fn the_page_says_how_to_get_the_full_one_and_has_no_script() {
        for streams in [None, Some(&[][..]), Some(&[ROW][..])] {
            let html = html(streams);
            assert!(html.contains("cargo xtask console"), "{html}");
            assert!(
                !html.contains("<script") && !html.contains("style="),
                "{html}"
            );
            assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
        }
    }

    #[test]
    fn streams_are_listed_and_none_is_said() {
        let listed = html(Some(&[ROW]));
        assert!(listed.contains("<tr><td>/live/x<td>H264 AAC<td align=\"right\">2500<td"));
        assert!(!listed.contains("/api/v1/streams"));
        assert!(html(Some(&[])).contains("Nobody publishes"));
        assert!(html(None).contains("href=\"/api/v1/streams\""));
    }

    #[test]
    fn names_of_publishers_stay_text() {
        let row = Row {
            path: "/live/<script>alert('x')</script>&\"\n",
            ..ROW
        };
        let html = html(Some(&[row]));
        assert!(!html.contains("<script>"));
        assert!(html.contains(
            "/live/&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;\u{fffd}<td>"
        ));
    }

    #[test]
    fn a_long_list_is_cut() {
        let html = html(Some(&vec![ROW; MAX_ROWS + 7]));
        assert_eq!(html.matches("/live/x").count(), MAX_ROWS);
        assert!(html.contains("And 7 more."));
    }
}
