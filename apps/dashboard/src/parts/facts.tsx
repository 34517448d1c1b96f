import { Text } from "@mantine/core";
import { type ReactNode } from "react";

/** Names and values in two columns; what is null is left out. */
export function Facts({ facts }: { facts: readonly (readonly [string, ReactNode])[] }): ReactNode {
  return (
    <dl
      style={{
        ...{ display: "grid", gridTemplateColumns: "minmax(90px, max-content) minmax(0, 1fr)" },
        ...{ columnGap: "1rem", rowGap: "0.35rem", margin: 0 },
      }}
    >
      {facts
        .filter(([, value]) => value !== null && value !== undefined && value !== "")
        .map(([name, value]) => (
          <FactRow key={name} name={name} value={value} />
        ))}
    </dl>
  );
}

function FactRow({ name, value }: { name: string; value: ReactNode }): ReactNode {
  return (
    <>
      <Text component="dt" size="sm" c="dimmed">
        {name}
      </Text>
      <Text component="dd" size="sm" m={0} style={{ overflowWrap: "anywhere" }}>
        {value}
      </Text>
    </>
  );
}
