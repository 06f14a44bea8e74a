// A guard kept longer than its region: keep the region, and lock when its items are needed.
use mpisync::{Region, RegionReadGuard};

fn main() {
    let reading: RegionReadGuard<'_, f64>;
    {
        let field = Region::local([4, 6]).unwrap();
        reading = field.read();
    }
    assert_eq!(reading.sum(), 0.0);
}
