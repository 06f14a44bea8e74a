//! A drawing as SVG, in the colours of a light or a dark page, as the reader's system asks for.

use std::fmt::Write as _;

/// The width of all drawings in pixels.
pub const WIDTH: f64 = 860.0;
/// The space at both sides.
pub const MARGIN: f64 = 24.0;
/// The number of colours, which are the classes `c0`, `c1` and so on.
pub const COLOURS: usize = 6;

/// The colours are close to those of Okabe and Ito, which colour-blind people tell apart.
const STYLE: &str = "\
.paper{fill:#fff}.grid{stroke:#d5dae1;fill:none}\
text{fill:#1d2530;font:13px system-ui,sans-serif}.faint{fill:#5b6675}\
.title{font-size:18px;font-weight:600}.head{font-weight:600}.end{text-anchor:end}.middle{text-anchor:middle}\
.mark{fill:currentColor}.bar{stroke:currentColor;stroke-width:1.5;fill:none;opacity:.65}\
.line{stroke:currentColor;stroke-width:2;fill:none}.dashed{stroke-dasharray:6 4}\
.c0{color:#0072b2}.c1{color:#c04b00}.c2{color:#00805c}.c3{color:#a8457d}.c4{color:#8a6100}.c5{color:#5b6675}\
@media (prefers-color-scheme:dark){\
.paper{fill:#12161c}.grid{stroke:#343d4a}text{fill:#e8ecf2}.faint{fill:#9aa6b5}\
.c0{color:#56b4e9}.c1{color:#ff8c42}.c2{color:#2fc79a}.c3{color:#e39ac4}.c4{color:#e6b450}.c5{color:#9aa6b5}}";

/// Where a text is relative to its position.
#[derive(Clone, Copy)]
pub enum Anchor {
    /// To the right of it.
    Start,
    /// Centred at it.
    Middle,
    /// To the left of it.
    End,
}

/// What was drawn so far.
#[derive(Default)]
pub struct Drawing {
    body: String,
}

impl Drawing {
    /// Adds a text of these classes, whose base line is at `y`.
    pub fn text(&mut self, classes: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " middle",
            Anchor::End => " end",
        };
        let classes = format!("{classes}{anchor}");
        let text = escaped(text);
        self.push(format_args!(
            "<text class=\"{}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>",
            classes.trim_start()
        ));
    }

    /// Adds a path of these classes.
    pub fn path(&mut self, classes: &str, path: &str) {
        self.push(format_args!("<path class=\"{classes}\" d=\"{path}\"/>"));
    }

    /// Adds paths of one colour, each with its classes. Browsers show `title` where the mouse is over them.
    pub fn marks(&mut self, colour: usize, title: &str, paths: &[(&str, String)]) {
        let title = escaped(title);
        self.push(format_args!(
            "<g class=\"c{}\"><title>{title}</title>",
            colour % COLOURS
        ));
        for (classes, path) in paths {
            self.path(classes, path);
        }
        self.push(format_args!("</g>"));
    }

    /// The file. `label` describes the picture to readers who do not see it.
    pub fn finish(self, height: f64, label: &str) -> String {
        let (label, body) = (escaped(label), self.body);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
             height=\"{height:.0}\" role=\"img\" aria-label=\"{label}\">\n<style>{STYLE}</style>\n\
             <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n{body}</svg>\n"
        )
    }

    fn push(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.body, "{line}").expect("writing to a String does not fail");
    }
}

/// About the width of a text in pixels, rather more than less.
pub fn width_of(text: &str) -> f64 {
    7.2 * text.chars().count() as f64
}

/// The text for XML. Control characters, which XML does not have, become replacement characters.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            char if char.is_control() => escaped.push('\u{fffd}'),
            char => escaped.push(char),
        }
    }
    escaped
}

/// The shapes of marks, a shape for each colour, so that the colour is not needed to tell them apart.
pub fn mark(shape: usize, (x, y): (f64, f64)) -> String {
    match shape % COLOURS {
        0 => format!(
            "M{:.1} {y:.1}a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",
            x - 4.5
        ),
        1 => format!("M{:.1} {:.1}h8v8h-8z", x - 4.0, y - 4.0),
        2 => format!("M{x:.1} {:.1}l5 9h-10z", y - 5.5),
        3 => format!("M{x:.1} {:.1}l5.5 5.5l-5.5 5.5l-5.5-5.5z", y - 5.5),
        4 => format!("M{x:.1} {:.1}l5-9h-10z", y + 5.5),
        _ => format!("M{:.1} {:.1}h3v-4h3v4h4v3h-4v4h-3v-4h-3z", x - 5.0, y - 1.5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_end_an_element_or_an_attribute() {
        const STRANGE: &str = "a</text><script>\"&'\u{1b}\u{0}\u{ffff}";
        let mut drawing = Drawing::default();
        drawing.text("", (1.0, 2.0), Anchor::Start, STRANGE);
        drawing.marks(0, STRANGE, &[("mark", mark(0, (3.0, 4.0)))]);
        let svg = drawing.finish(100.0, STRANGE);
        let parsed = roxmltree::Document::parse(&svg).expect("it is XML");
        let kept = "a</text><script>\"&'\u{fffd}\u{fffd}\u{fffd}";
        let root = parsed.root_element();
        assert_eq!(root.attribute("aria-label"), Some(kept));
        for name in ["text", "title"] {
            let mut found = root.descendants().filter(|it| it.has_tag_name(name));
            assert_eq!(found.next().and_then(|it| it.text()), Some(kept), "{name}");
        }
        assert!(!root.descendants().any(|it| it.has_tag_name("script")));
    }

    #[test]
    fn each_colour_is_there_in_light_and_dark() {
        for colour in 0..COLOURS {
            let rule = format!(".c{colour}{{color:#");
            assert_eq!(STYLE.matches(&rule).count(), 2, "{rule}");
            for other in 0..colour {
                assert_ne!(mark(colour, (9.0, 9.0)), mark(other, (9.0, 9.0)));
            }
        }
        let (light, dark) = STYLE
            .split_once("prefers-color-scheme:dark")
            .expect("both are there");
        for class in [
            ".paper{fill:",
            ".grid{stroke:",
            "text{fill:",
            ".faint{fill:",
        ] {
            assert!(light.contains(class) && dark.contains(class), "{class}");
        }
    }
}
