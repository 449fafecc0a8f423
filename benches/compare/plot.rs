//! The table as a picture: a bar for each peer, in proportion to nginx's figure.

use std::fmt::Write as _;
use std::path::Path;

const WIDTH: f64 = 720.0;
const LABEL: f64 = 280.0;
const BAR: f64 = 11.0;
const GAP: f64 = 12.0;
/// The longest bar, as a multiple of nginx's figure. Longer bars are cut and labelled.
const MOST: f64 = 1.6;
const COLOURS: [&str; 3] = ["#2166ac", "#b0b0b0", "#d8c9a8"];

/// Writes `rows` to `file`: a name, and a figure for each of `peers`, of which the second is nginx.
pub fn write(file: &Path, peers: &[&str], rows: &[(&str, Vec<f64>)]) {
    let block = BAR * peers.len() as f64 + GAP;
    let height = 64.0 + block * rows.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"14\">Cost of a hop, as a share of nginx's (shorter is better)</text>\n"
    );
    for (at, (peer, colour)) in peers.iter().zip(COLOURS).enumerate() {
        let x = 10.0 + 90.0 * at as f64;
        let _ = writeln!(svg, "<rect x=\"{x}\" y=\"30\" width=\"10\" height=\"10\" fill=\"{colour}\"/>");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"39\">{peer}</text>", x + 15.0);
    }
    for (at, (name, figures)) in rows.iter().enumerate() {
        let top = 56.0 + block * at as f64;
        let middle = top + block / 2.0 - 2.0;
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{name}</text>", LABEL - 8.0);
        let Some(nginx) = figures.get(1) else { continue };
        for (place, (figure, colour)) in figures.iter().zip(COLOURS).enumerate() {
            let y = top + BAR * place as f64;
            let width = (figure / nginx).min(MOST) / MOST * (WIDTH - LABEL - 50.0);
            let _ = writeln!(
                svg,
                "<rect x=\"{LABEL}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" fill=\"{colour}\"/>",
                BAR - 1.0
            );
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{}\" font-size=\"9\">{figure:.2}</text>",
                LABEL + width + 4.0,
                y + 8.5
            );
        }
    }
    svg.push_str("</svg>\n");
    std::fs::write(file, svg).unwrap();
}
