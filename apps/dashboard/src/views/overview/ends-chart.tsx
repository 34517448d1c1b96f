import { BarChart } from "@mantine/charts";
import { Group, SegmentedControl, Stack, Text, Title } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { memo, type ReactNode } from "react";
import { everyStep, readOverviewSearch, type Span, spans, type Statistics, sumOf } from "./ends.ts";

const series = [
  { name: "completed", color: "teal.6" },
  { name: "failed", color: "red.6" },
  { name: "timeout", color: "orange.5" },
  { name: "cancelled", color: "gray.5" },
];
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

interface Props {
  readonly title: string;
  readonly statistics: Statistics;
  readonly steps: Statistics["steps"];
  /** Absent: the span is chosen elsewhere. */
  readonly hours?: Span;
}

/**
 * How many jobs ended, and how, over time. What the bars say stands beside them in words. Drawn again only when its own
 * figures change, and not with everything else on the view: that takes some hundredths of a second.
 */
export const EndsChart = memo(function EndsChart({ title, statistics, steps, hours }: Props): ReactNode {
  const navigate = useNavigate();
  const data = everyStep(statistics, steps).map((step) => ({
    ...step,
    time: time.format(new Date(step.at)),
  }));
  const sum = sumOf(steps);
  const words = series
    .map(({ name }) => `${sum[name as keyof typeof sum].toLocaleString("en")} ${name}`)
    .join(", ");
  return (
    <Stack gap="xs">
      <Group justify="space-between">
        <div>
          <Title order={3} size="h4">
            {title}
          </Title>
          <Text size="sm" c="dimmed">
            {words}
          </Text>
        </div>
        {hours !== undefined && (
          <SegmentedControl
            size="xs"
            aria-label="Span of time"
            value={String(hours)}
            data={spans.map((span) => ({ value: String(span), label: `${span} h` }))}
            onChange={(value) => {
              void navigate({ to: "/", search: readOverviewSearch({ hours: value }), replace: true });
            }}
          />
        )}
      </Group>
      <div role="img" aria-label={`${title}: ${words}`}>
        <BarChart
          h={220}
          data={data}
          dataKey="time"
          type="stacked"
          series={series}
          withLegend
          yAxisProps={{ allowDecimals: false, width: 44 }}
          xAxisProps={{ minTickGap: 40 }}
          barChartProps={{ accessibilityLayer: false }}
          barProps={{ isAnimationActive: false }}
        />
      </div>
    </Stack>
  );
});
