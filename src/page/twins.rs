//! The lesson's twins: the same seed twice, with one setting changed, side by side with how long each took.

use web_sys::{Document, HtmlButtonElement, HtmlCanvasElement, HtmlElement, HtmlSelectElement};

use super::canvas;
use super::view::get;
use crate::diffusion::Sampler;
use crate::protocol::{Purpose, SampleRequest, Shown, ShownStep, Twin};
use crate::words;

/// The figure.
pub struct Twins {
    /// Which setting is changed.
    pub knob: HtmlSelectElement,
    /// Has both sampled.
    pub hatch: HtmlButtonElement,
    first: Side,
    second: Side,
    /// The second one, until it is its turn.
    next: Option<SampleRequest>,
}

struct Side {
    picture: HtmlCanvasElement,
    label: HtmlElement,
}

impl Twins {
    /// Finds its elements; the error is the name of the first that is missing.
    pub fn find(document: &Document) -> Result<Self, String> {
        let side = |name: &str| {
            Ok::<_, String>(Side {
                picture: get(document, &format!("twin-{name}"))?,
                label: get(document, &format!("twin-{name}-label"))?,
            })
        };
        Ok(Self {
            knob: get(document, "knob")?,
            hatch: get(document, "twins")?,
            first: side("first")?,
            second: side("second")?,
            next: None,
        })
    }

    /// Begins with both as the knob says, from what the controls say; the first one is to be sampled now.
    pub fn begin(&mut self, request: SampleRequest) -> SampleRequest {
        let (first, second) = differing(&self.knob.value(), request);
        for (side, request) in [(&self.first, &first), (&self.second, &second)] {
            canvas::clear(&side.picture);
            side.label.set_text_content(Some(&words::settings(request)));
        }
        self.next = Some(SampleRequest { purpose: Purpose::Twin(Twin::Second), ..second });
        SampleRequest { purpose: Purpose::Twin(Twin::First), ..first }
    }

    /// One of them has taken a step.
    pub fn add_step(&self, twin: Twin, step: &ShownStep) {
        canvas::draw(&self.side(twin).picture, &step.clean);
    }

    /// One of them is finished, after so many milliseconds; the other one, if it is to be sampled now.
    pub fn finish(
        &mut self,
        twin: Twin,
        request: &SampleRequest,
        pictures: &[Shown],
        total_ms: f64,
    ) -> Option<SampleRequest> {
        let side = self.side(twin);
        canvas::draw(&side.picture, pictures);
        side.label.set_text_content(Some(&format!("{}: {:.1} s", words::settings(request), total_ms / 1000.0)));
        self.next.take()
    }

    fn side(&self, twin: Twin) -> &Side {
        match twin {
            Twin::First => &self.first,
            Twin::Second => &self.second,
        }
    }
}

/// What is asked for, and the same with the knob turned.
fn differing(knob: &str, request: SampleRequest) -> (SampleRequest, SampleRequest) {
    let with = |sampler| SampleRequest { sampler: Some(sampler), ..request.clone() };
    match knob {
        "noise" => (with(Sampler::DpmSolverSde), with(Sampler::DpmSolver)),
        "order" => (with(Sampler::DpmSolver), with(Sampler::Ddim { eta: 0.0 })),
        // A quarter of the steps.
        _ => {
            let quarter = request.steps.map(|steps| (steps / 4).max(1));
            (request.clone(), SampleRequest { steps: quarter, ..request })
        }
    }
}
