// A region that is no parameter: write `self.field.try_update(|field| …)`, or take it as a parameter.
use mpisync::{CollectiveError, Region};

struct App {
    field: Region<f64>,
}

impl App {
    #[mpisync::single_write(ctrl = self.field)]
    fn smooth(&mut self) -> Result<f64, CollectiveError> {
        Ok(1.0)
    }
}

fn main() {}
