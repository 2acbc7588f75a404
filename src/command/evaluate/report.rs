//! The report: a page for people beside the figures for programs.

use std::fmt::Write;
use std::path::Path;

use super::{Quality, SamplerRow};
use crate::files;
use crate::picture::Picture;
use crate::quality::{Calibration, Judge, Judgement, Scores};

/// Pictures that the grid shows.
const IN_THE_GRID: usize = 100;
/// Generated pictures that are shown beside the training picture nearest to them.
const CLOSEST: usize = 10;

/// Writes quality.json, index.html, grid.png and closest.png into a folder. The last shows training pictures: the
/// report is for whoever may see them.
pub fn write(folder: &Path, quality: &Quality, judges: &[Judge], generated: &[Picture]) -> anyhow::Result<()> {
    files::write(&folder.join("quality.json"), serde_json::to_string_pretty(quality)?.as_bytes())?;
    let shown = generated.get(..IN_THE_GRID.min(generated.len())).unwrap_or_default();
    files::write(&folder.join("grid.png"), &Picture::grid(shown, 10, 2).to_png()?)?;
    let mut distances = Vec::new();
    if let (Some(judge), Some(judgement)) = (judges.first(), quality.judgements.first()) {
        let mut order: Vec<_> = judgement.copies_in_features.nearest.iter().enumerate().collect();
        order.sort_by(|(_, (_, a)), (_, (_, b))| a.total_cmp(b));
        let mut rows = [Vec::new(), Vec::new()];
        for (index, (training, distance)) in order.into_iter().take(CLOSEST) {
            if let (Some(picture), Some(real)) = (generated.get(index), judge.real().get(*training)) {
                rows[0].push(picture.clone());
                rows[1].push(real.clone());
                distances.push((index, *distance));
            }
        }
        files::write(&folder.join("closest.png"), &Picture::grid(&rows.concat(), CLOSEST, 2).to_png()?)?;
    }
    Ok(files::write(&folder.join("index.html"), page(quality, &distances).as_bytes())?)
}

fn page(quality: &Quality, closest: &[(usize, f64)]) -> String {
    let Quality { model, data, generated, sampler, steps, evaluations, device, seconds_a_picture, .. } = quality;
    let mut body = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        body,
        "<h1>{}</h1>\n<p>{generated} pictures of the seeds from 0 up, <code>{sampler}</code>, {steps} steps of the first stage, {evaluations} evaluations in \
         all, against the pictures of {}. On {}: {seconds_a_picture:.3} seconds a picture.</p>\n",
        escaped(model),
        escaped(data),
        escaped(device),
    );
    for judgement in &quality.judgements {
        judgement_table(&mut body, judgement);
    }
    if !quality.calibration.is_empty() {
        body.push_str("<h2>What KID means here</h2>\n<p>Real pictures, damaged, against all real ones.</p>\n<table>\n");
        body.push_str("<tr><th>damage</th><th>pixels</th><th>KID × 1000</th></tr>\n");
        for (size, rows) in &quality.calibration {
            for Calibration { damage, kid } in rows {
                let _ = writeln!(body, "<tr><td>{}</td><td>{size}</td><td>{kid:.0}</td></tr>", escaped(damage));
            }
        }
        body.push_str("</table>\n");
    }
    if !quality.samplers.is_empty() {
        let size = quality.judgements.last().map_or(0, |judgement| judgement.size);
        let _ = write!(
            body,
            "<h2>KID against evaluations</h2>\n<p>At {size} pixels; evaluations of the first stage's network.</p>\n"
        );
        body.push_str(&chart(&quality.samplers));
    }
    body.push_str("<h2>Pictures</h2>\n<p>The first seeds, none chosen.</p>\n<img src=\"grid.png\" alt=\"The first pictures in rows of ten\">\n");
    if !closest.is_empty() {
        body.push_str(
            "<h2>Closest to the training pictures</h2>\n<p>Generated ones above, the nearest training picture of each below. Not for publication where \
             the training pictures are not.</p>\n<img src=\"closest.png\" alt=\"Generated pictures above the training picture nearest to each\">\n<p>",
        );
        for (seed, distance) in closest {
            let _ = write!(body, "seed {seed}: {distance:.3} &ensp; ");
        }
        body.push_str("</p>\n");
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>Quality of {}</title>\n\
         <style>{STYLE}</style>\n<main>\n{body}</main>\n</html>\n",
        escaped(model)
    )
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem;color:#222;background:#fff}main{max-width:60rem;margin:auto}\
table{border-collapse:collapse}td,th{padding:.2rem .8rem;border-bottom:1px solid #ddd;text-align:left}td+td,th+th{text-align:right}\
img{max-width:100%;image-rendering:auto}text{font:12px system-ui,sans-serif}\
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}td,th{border-color:#444}text{fill:#ddd}}";

fn judgement_table(body: &mut String, judgement: &Judgement) {
    let Judgement { size, scores, floor, copies_in_features, copies_in_pixels } = judgement;
    let _ = write!(
        body,
        "<h2>At {size} pixels</h2>\n<table>\n<tr><th></th><th>{} generated against {} real</th><th>{} real against {} real</th></tr>\n",
        scores.generated, scores.real, floor.generated, floor.real
    );
    let mut row = |name: &str, value: &dyn Fn(&Scores) -> String| {
        let _ = writeln!(body, "<tr><td>{name}</td><td>{}</td><td>{}</td></tr>", value(scores), value(floor));
    };
    row("KID × 1000", &|scores| format!("{:.1} ± {:.1}", scores.kid, scores.kid_deviation));
    row("FID", &|scores| format!("{:.1}", scores.fid));
    row("precision", &|scores| format!("{:.3}", scores.precision));
    row("recall", &|scores| format!("{:.3}", scores.recall));
    row("density", &|scores| format!("{:.3}", scores.density));
    row("coverage", &|scores| format!("{:.3}", scores.coverage));
    body.push_str("</table>\n<table>\n<tr><th>distance to the nearest training picture, mirrored ones too</th><th>generated, median</th><th>real, median</th><th>nearer than the 1st percentile of real ones</th></tr>\n");
    for (name, copies) in [("in features", copies_in_features), ("in pixels", copies_in_pixels)] {
        let _ = writeln!(
            body,
            "<tr><td>{name}</td><td>{:.3}</td><td>{:.3}</td><td>{:.1} %</td></tr>",
            copies.median,
            copies.real_median,
            100.0 * copies.share_nearer
        );
    }
    body.push_str("</table>\n");
}

/// A line for each sampler.
fn chart(rows: &[SamplerRow]) -> String {
    const WIDTH: f64 = 640.0;
    const HEIGHT: f64 = 280.0;
    const MARGIN: f64 = 50.0;
    const COLOURS: [&str; 4] = ["#c2410c", "#1d4ed8", "#15803d", "#7e22ce"];
    let most = rows.iter().map(|row| row.kid).fold(1.0, f64::max);
    let furthest = rows.iter().map(|row| row.evaluations).max().unwrap_or(1) as f64;
    let x = |evaluations: usize| MARGIN + (WIDTH - 3.0 * MARGIN) * evaluations as f64 / furthest;
    let y = |kid: f64| HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * kid.max(0.0) / most;
    let mut chart = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"KID against evaluations, a line for each sampler\">\n"
    );
    let mut samplers: Vec<_> = rows.iter().map(|row| row.sampler).collect();
    samplers.dedup();
    for (index, sampler) in samplers.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let of: Vec<_> = rows.iter().filter(|row| row.sampler == *sampler).collect();
        let points: String = of.iter().map(|row| format!("{:.1},{:.1} ", x(row.evaluations), y(row.kid))).collect();
        let _ = writeln!(chart, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
        for row in &of {
            let (x, y) = (x(row.evaluations), y(row.kid));
            let _ = writeln!(
                chart,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"><title>{sampler}, {} evaluations: {:.0} ± {:.0}</title></circle>\
                 <text x=\"{:.1}\" y=\"{:.1}\">{:.0}</text>",
                row.evaluations,
                row.kid,
                row.deviation,
                x - 10.0,
                y - 8.0,
                row.kid
            );
        }
        if let Some(last) = of.last() {
            let _ = writeln!(
                chart,
                "<text x=\"{:.1}\" y=\"{:.1}\" style=\"fill:{colour}\">{sampler}</text>",
                x(last.evaluations) + 14.0,
                y(last.kid) + 4.0
            );
        }
    }
    for evaluations in rows.iter().map(|row| row.evaluations).collect::<std::collections::BTreeSet<_>>() {
        let _ = writeln!(chart, "<text x=\"{:.1}\" y=\"{}\">{evaluations}</text>", x(evaluations) - 6.0, HEIGHT - 20.0);
    }
    chart.push_str("</svg>\n");
    chart
}

/// Text as HTML shows it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
