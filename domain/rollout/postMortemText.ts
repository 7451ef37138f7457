/** Pure. The post-mortem as Markdown. */
import { formatDuration } from '../duration.ts';
import type { EvidenceTrigger, PostMortem } from './postMortem.ts';
import type { Segment } from './segments.ts';
import { tellRule } from './telling.ts';

const BAR = 20;
const MOST_SEGMENTS = 10;

const OUTCOMES = {
  rolled_back: 'rolled back',
  aborted: 'aborted',
  completed: 'completed',
  running: 'still running',
} as const;

/** Text of people goes into a table cell or a line: one line, and no markup of its own. */
const plain = (text: string) =>
  text
    .replace(/\s+/g, ' ')
    .replace(/[\\`*[\]<|]|(?<!\w)_|_(?!\w)/g, '\\$&')
    .trim();

const table = (head: readonly string[], rows: readonly (readonly string[])[]) => [
  `| ${head.join(' | ')} |`,
  `|${head.map(() => '---').join('|')}|`,
  ...rows.map((row) => `| ${row.join(' | ')} |`),
];

/** Renders the draft; the same draft gives the same text. */
export function renderMarkdown(draft: PostMortem): string {
  const { model, model_id, version, rollout_id, outcome } = draft;
  const target = outcome === 'rolled_back' ? ` to ${draft.target ?? 'no version'}` : '';
  return [
    `# Post-mortem: ${plain(model ?? model_id)} ${version}, rollout ${rollout_id}`,
    '',
    `The rollout was ${OUTCOMES[outcome]}${target}.`.replace('was still', 'is still'),
    '',
    '## Trigger',
    '',
    ...triggerLines(draft),
    '',
    '## Exposure',
    '',
    ...exposureLines(draft),
    '',
    '## Where it was worst',
    '',
    ...segmentLines(draft.segments),
    '',
    '## Timeline',
    '',
    ...table(
      ['Time', 'What', 'Who'],
      draft.timeline.map((t) => [t.at, plain(t.text), plain(t.actor)]),
    ),
    '',
    '## Root cause',
    '',
    draft.root_cause
      ? `${draft.root_cause.text.trim().replaceAll('<', '&lt;')}\n\n(${plain(draft.root_cause.actor)}, ${draft.root_cause.at})`
      : 'Not recorded yet.',
    '',
  ].join('\n');
}

function triggerLines({ trigger }: PostMortem): string[] {
  if (!trigger) return ['Nothing spoke against the version.'];
  const who = trigger.kind === 'verdict' ? 'The verdict' : `By hand (${plain(trigger.actor)})`;
  const first = [`${who}: ${plain(trigger.reason)}.`];
  const lines = trigger.evidence ? [...first, '', ...evidenceLines(trigger.evidence, trigger.stage)] : first;
  if (trigger.rule) lines.push('', `Measured in stage ${trigger.stage ?? '?'}: ${plain(tellRule(trigger.rule))}.`);
  return lines;
}

/** The segment first, with its numbers and its window, then what pre-flight had promised. */
function evidenceLines(found: EvidenceTrigger, stage: number | null): string[] {
  const who = found.named ?? 'everyone';
  const hours = formatDuration(found.clock_ms);
  const promise =
    found.promised === null
      ? `Pre-flight had said that this stage would convict no multiple of ${found.metric} that was tried.`
      : `Pre-flight had said that this stage would convict ${found.metric} from ${found.promised} times control on.`;
  return [
    `**${plain(who)}**: ${plain(found.metric)} was bad on ${found.canary_bad} canary devices and ${found.control_bad} control devices.`,
    '',
    `In stage ${stage ?? '?'}, after ${hours} of its clock, ${found.canary} canary and ${found.control} control devices were watched: ` +
      `log of evidence ${found.log.toFixed(1)}, needed ${found.threshold.toFixed(1)}.`,
    '',
    plain(promise),
    ...(found.segments.length === 0
      ? []
      : [
          '',
          ...table(
            ['Judged apart', 'Canary bad', 'Control bad', 'Excess'],
            found.segments
              .slice(0, MOST_SEGMENTS)
              .map((s) => [plain(s.segment), String(s.canary_bad), String(s.control_bad), String(s.excess)]),
          ),
        ]),
  ];
}

function exposureLines({ exposure, devices, outcome }: PostMortem): string[] {
  const { from, to, stages, completed } = exposure;
  if (from === null || stages.length === 0) return ['No device was told the version.'];
  const who = completed ? 'were told it or reported in a stage' : 'reported in one stage';
  const after = completed && ['completed', '100 %', String(completed.devices), String(completed.minutes)];
  return [
    `At most ${exposure.devices} devices ${who}: ${exposure.device_minutes} device-minutes at most, ` +
      `from ${from} to ${to ?? 'now'}.`,
    ...(outcome === 'completed' ? ['It was not withdrawn: what came later is not counted.'] : []),
    '',
    ...table(
      ['Stage', 'Percent', 'Devices', 'Minutes'],
      [
        ...stages.map((s) => [String(s.stage), `${s.percent} %`, String(s.devices), String(s.minutes)]),
        ...(after ? [after] : []),
      ],
    ),
    '',
    devices
      ? `${devices.back} of ${devices.told} devices that were told it are back.`
      : 'The devices that were told it could not be counted in time.',
  ];
}

function segmentLines(segments: readonly Segment[]): string[] {
  const shown = segments.slice(0, MOST_SEGMENTS);
  if (shown.length === 0) return ['No device reported in a stage.'];
  const most = shown.reduce((m, s) => Math.max(m, s.excess), 1);
  const bar = (excess: number) => '█'.repeat(Math.max(0, Math.round((BAR * excess) / most)));
  return table(
    ['Segment', 'Canary', 'Control', 'Excess', ''],
    shown.map((s) => [
      plain(s.value),
      `${s.bad} of ${s.total}`,
      `${s.control_bad} of ${s.control_total}`,
      String(s.excess),
      bar(s.excess),
    ]),
  );
}
