import { SegmentedControl } from "@mantine/core";
import { type ReactNode } from "react";

/** Whether something is shown as a graph or as a list. */
export function GraphOrList({
  label,
  form,
  onChange,
}: {
  label: string;
  form: string;
  onChange: (chosen: string) => void;
}): ReactNode {
  return (
    <SegmentedControl
      size="xs"
      aria-label={label}
      value={form}
      onChange={onChange}
      data={[
        { value: "graph", label: "Graph" },
        { value: "list", label: "List" },
      ]}
    />
  );
}
