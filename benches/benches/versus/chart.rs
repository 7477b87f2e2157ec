//! The numbers as a picture: bars that say how many times as fast a side is as the one compared
//! with.

use std::fmt::Write as _;

use benches::number;

use crate::report::{Report, Row};

/// Colours that a colour-blind reader tells apart, on a light ground of the picture's own.
const COLOURS: [(&str, &str); 4] =
    [("ours", "#0969da"), ("plain", "#afb8c1"), ("lua", "#6e7781"), ("redisearch", "#bc4c00")];
const BAR: f64 = 11.0;
const GAP: f64 = 10.0;
const LEFT: f64 = 150.0;
const PANEL: f64 = 430.0;
const TOP: f64 = 92.0;

pub(crate) fn svg(report: &Report) -> String {
    let names: Vec<&str> = report.versions.iter().map(|(side, _)| side.as_str()).collect();
    let base = names.iter().position(|name| *name == "redisearch");
    let shown: Vec<usize> = (0..names.len()).filter(|side| Some(*side) != base).collect();
    let ratio = |row: &Row, side: usize| row.sides[side].rate() / reference(row, base, &names);
    let ratios =
        report.sizes.iter().flat_map(|size| &size.rows).flat_map(|row| shown.iter().map(|side| ratio(row, *side)));
    let (least, greatest) = ratios.fold((1.0f64, 1.0f64), |(least, greatest), one| (least.min(one), greatest.max(one)));
    // Room for the numbers at the ends of the bars.
    let (low, high) = ((least * 0.6).log10(), (greatest * 1.7).log10());
    let steps: &[f64] = if high - low < 2.2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let powers = low.floor() as i32..=high.ceil() as i32;
    let ticks = powers.flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
    let ticks: Vec<f64> = ticks.filter(|tick| (low..=high).contains(&tick.log10())).collect();
    let kinds: Vec<&str> =
        report.sizes.first().map_or(vec![], |size| size.rows.iter().map(|row| row.name.as_str()).collect());
    let group = BAR * shown.len() as f64 + GAP;
    let bottom = TOP + group * kinds.len() as f64;
    let (width, height) = (LEFT + PANEL * report.sizes.len() as f64 + 20.0, bottom + 86.0);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#1f2328\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#ffffff\" stroke=\"#d1d9e0\"/>\n"
    );
    let against = if base.is_some() { "RediSearch" } else { "the best other side" };
    let title = format!("Speed relative to {against}");
    let _ = writeln!(text, "<text x=\"16\" y=\"28\" font-size=\"17\" font-weight=\"600\">{title}</text>");
    let mut x = 16.0;
    for side in &shown {
        let (label, colour) = label(names[*side]);
        let _ = writeln!(text, "<rect x=\"{x}\" y=\"43\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{colour}\"/>");
        let _ = writeln!(text, "<text x=\"{}\" y=\"53\">{label}</text>", x + 18.0);
        x += 38.0 + 6.6 * label.len() as f64;
    }
    for (at, kind) in kinds.iter().enumerate() {
        let top = TOP + group * at as f64;
        if at % 2 == 0 {
            let _ = writeln!(
                text,
                "<rect x=\"8\" y=\"{top}\" width=\"{}\" height=\"{group}\" fill=\"#f6f8fa\"/>",
                width - 16.0
            );
        }
        let y = top + group / 2.0 + 4.0;
        let _ = writeln!(text, "<text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{kind}</text>", LEFT - 6.0);
    }
    for (panel, size) in report.sizes.iter().enumerate() {
        let left = LEFT + PANEL * panel as f64 + 14.0;
        let place = |ratio: f64| left + (ratio.log10() - low) / (high - low) * (PANEL - 68.0);
        let middle = left + (PANEL - 68.0) / 2.0;
        let _ = writeln!(
            text,
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" font-weight=\"600\">{} records</text>",
            TOP - 10.0,
            number(size.records as f64)
        );
        for tick in &ticks {
            let x = place(*tick);
            let (colour, width) = if *tick == 1.0 { ("#1f2328", 1.2) } else { ("#d1d9e0", 1.0) };
            let _ = writeln!(
                text,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>"
            );
            let _ = writeln!(
                text,
                "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#59636e\">{}x</text>",
                bottom + 16.0,
                (tick * 1e6).round() / 1e6
            );
        }
        let memory = names.iter().zip(&size.memory);
        let memory: Vec<String> = memory.map(|(name, bytes)| format!("{} {bytes:.0}", short(name))).collect();
        let _ = writeln!(
            text,
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" fill=\"#59636e\" font-size=\"11\">bytes a record: {}</text>",
            bottom + 34.0,
            memory.join(", ")
        );
        for (at, kind) in kinds.iter().enumerate() {
            let Some(row) = size.rows.iter().find(|row| row.name == *kind) else { continue };
            for (line, side) in shown.iter().enumerate() {
                let ratio = ratio(row, *side);
                // One of the two had no right answer.
                if ratio.is_nan() {
                    continue;
                }
                let y = TOP + group * at as f64 + GAP / 2.0 + BAR * line as f64;
                let (from, to) = (place(ratio.min(1.0)), place(ratio.max(1.0)));
                let (name, colour) = label(names[*side]);
                let rate = number(row.sides[*side].rate());
                let _ = writeln!(
                    text,
                    "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{}\" fill=\"{colour}\"><title>{name}, {kind}: {rate} a second</title></rect>",
                    y + 0.5,
                    (to - from).max(1.0),
                    BAR - 1.0
                );
                let (x, anchor) = if ratio < 1.0 { (from - 3.0, "end") } else { (to + 3.0, "start") };
                let weight = if names[*side] == "ours" { " font-weight=\"600\"" } else { "" };
                let _ = writeln!(
                    text,
                    "<text x=\"{x:.1}\" y=\"{:.1}\" font-size=\"9.5\" text-anchor=\"{anchor}\"{weight}>{}</text>",
                    y + BAR - 2.0,
                    number(ratio)
                );
            }
        }
    }
    let axis =
        format!("operations a second, as a multiple of those of {against} (log scale); right of the line is faster");
    let _ = writeln!(text, "<text x=\"16\" y=\"{}\" fill=\"#59636e\">{axis}</text>", bottom + 58.0);
    let _ = writeln!(
        text,
        "<text x=\"16\" y=\"{}\" fill=\"#59636e\" font-size=\"10.5\">{}</text>",
        bottom + 74.0,
        report.about()
    );
    text + "</svg>\n"
}

/// What others are compared with: `RediSearch`, or the fastest that is not ours.
fn reference(row: &Row, base: Option<usize>, names: &[&str]) -> f64 {
    match base {
        Some(base) => row.sides[base].rate(),
        None => {
            let others = row.sides.iter().zip(names).filter(|(_, name)| **name != "ours" || names.len() == 1);
            others.map(|(side, _)| side.rate()).fold(f64::NAN, f64::max)
        }
    }
}

fn label(name: &str) -> (&'static str, &'static str) {
    let colour = COLOURS.iter().find(|(side, _)| *side == name).map_or("#1f2328", |(_, colour)| colour);
    let label = match name {
        "ours" => "subconscious",
        "plain" => "redis-rs by hand, plain commands",
        "lua" => "redis-rs by hand, Lua scripts",
        _ => "RediSearch",
    };
    (label, colour)
}

fn short(name: &str) -> &str {
    match name {
        "ours" => "subconscious",
        "plain" => "by hand",
        "redisearch" => "RediSearch",
        other => other,
    }
}
