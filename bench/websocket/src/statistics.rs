//! Medians, and how sure they are.

pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len() % 2 == 1 { numbers[middle] } else { (numbers[middle - 1] + numbers[middle]) / 2.0 }
}

/// The median, and the interval that holds the true one in at least 95 of 100 cases, by order statistics.
pub fn interval(mut numbers: Vec<f64>) -> String {
    numbers.sort_by(f64::total_cmp);
    let (count, median) = (numbers.len(), median(numbers.clone()));
    // The chance that at most `rank` of `count` fair coins show heads, twice, is what the interval misses.
    let (mut rank, mut chance, mut term) = (0, 0.0, 0.5_f64.powi(count as i32));
    while rank < count / 2 && 2.0 * (chance + term) <= 0.05 {
        chance += term;
        term *= (count - rank) as f64 / (rank + 1) as f64;
        rank += 1;
    }
    if rank == 0 {
        return format!("{median:.2} (too few rounds for an interval)");
    }
    format!("{median:.2} ({:.2} to {:.2})", numbers[rank - 1], numbers[count - rank])
}
