//! Paths as nobody should write them, and somebody does.

/// Odd forms of the paths of an app, by what is odd in them. `page` is a page below `base`.
pub(crate) fn paths(base: &str, page: &str) -> Vec<(&'static str, Vec<u8>)> {
    let name = page.rsplit('/').next().unwrap_or_default();
    let whole = |text: String| text.into_bytes();
    let mut all: Vec<(&'static str, Vec<u8>)> = vec![
        ("//", whole(format!("{base}//{name}"))),
        ("// at the beginning", whole(format!("/{page}"))),
        ("// and another host", whole("//example.org/..".into())),
        ("/./", whole(format!("{base}/./{name}"))),
        ("/../", whole(format!("{base}/x/../{name}"))),
        ("/../ above the root", whole(format!("/../..{page}"))),
        ("%2e%2e", whole(format!("{base}/x/%2e%2e/{name}"))),
        ("%2e%2e above the root", whole("/%2e%2e/%2e%2e/etc/passwd".into())),
        ("%2e%2e in files", whole(format!("{base}/_next/static/%2e%2e/%2e%2e/package.json"))),
        ("%2F", whole(format!("{base}/docs%2Fa"))),
        ("%2F in a segment", whole(format!("{base}/docs/a%2Fb"))),
        ("%2F at the beginning", whole(format!("{base}/%2F{name}"))),
        ("%00", whole(format!("{page}%00"))),
        ("%00 in files", whole(format!("{base}/_next/static/%00.js"))),
        ("\\", whole(format!("{base}\\{name}"))),
        ("/\\ at the beginning", whole("/\\example.org".into())),
        ("%5C", whole(format!("{base}/%5C{name}"))),
        (";a=b", whole(format!("{page};a=b"))),
        ("long", whole(format!("{base}/docs/{}", "a".repeat(6000)))),
        ("long query", whole(format!("{page}?a={}", "b".repeat(6000)))),
        ("too long", whole(format!("{base}/docs/{}", "a".repeat(20_000)))),
        ("/ at the end", whole(format!("{page}/"))),
        ("/ at the end, with a query", whole(format!("{page}/?a=1"))),
        ("// at the end", whole(format!("{page}//"))),
        ("upper case", whole(format!("{base}/{}", name.to_uppercase()))),
        ("encoded twice", whole(format!("{base}/docs/%2525"))),
        ("%252e%252e", whole(format!("{base}/x/%252e%252e/{name}"))),
        ("encoded without need", whole(format!("{base}/%{:02x}{}", name.as_bytes()[0], &name[1..]))),
        ("UTF-8 that is none", whole(format!("{base}/docs/%C3%28"))),
        ("% without digits", whole(format!("{base}/docs/%zz"))),
        ("% at the end", whole(format!("{page}%"))),
        ("% in the query", whole(format!("{page}?a=%zz&b=%C3"))),
        ("? alone", whole(format!("{page}?"))),
        ("??", whole(format!("{page}??a=1"))),
        ("#", whole(format!("{page}#part"))),
        ("+ and &&", whole(format!("{page}?a=b+c&&d"))),
        ("a space at the end", whole(format!("{page}%20"))),
        ("a line break", whole(format!("{page}%0d%0aX-Made:%20up"))),
        ("characters of URLs", whole(format!("{base}/docs/a:b@c!$&'()*+,=~[]|^`{{}}"))),
        ("an absolute address", whole(format!("http://www.example.org{page}"))),
        ("of another host", whole(format!("http://other.example{page}"))),
        ("*", whole("*".into())),
        ("no slash", whole("about".into())),
    ];
    all.push(("raw UTF-8", whole(format!("{base}/stra\u{df}e"))));
    all.push(("raw bytes", [base.as_bytes(), b"/docs/\xff\xfe"].concat()));
    all
}
