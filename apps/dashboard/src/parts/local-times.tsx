import { type ReactNode } from "react";
import { Moment } from "./times.tsx";

/** As the API writes times into its sentences. */
const isoTime = /(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z)/;

/** A sentence of the API, with its times as the reader's clock shows them. */
export function LocalTimes({ text }: { text: string }): ReactNode {
  // Of a pattern with one group, every second part is what it found.
  return text
    .split(isoTime)
    .map((part, index) => (index % 2 === 1 ? <Moment key={index} at={part} /> : part));
}
