/**
 * The smallest of the numbers that so many per cent of them do not exceed. NaN if there are none.
 * @param percent 0 to 100
 */
export function percentile(numbers: readonly number[], percent: number): number {
  const sorted = numbers.toSorted((one, other) => one - other);
  return sorted[Math.max(Math.ceil((sorted.length * percent) / 100) - 1, 0)] ?? Number.NaN;
}
