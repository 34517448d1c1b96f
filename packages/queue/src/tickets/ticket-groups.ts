export function byLane<Item extends { lane: string }>(items: Item[]): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(item.lane);
    if (group === undefined) groups.set(item.lane, [item]);
    else group.push(item);
  }
  return groups;
}

export function* chunksOf<Item>(items: Item[], size: number): Generator<Item[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}
