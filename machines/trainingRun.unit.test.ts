/** `trainingRun@1`: every state and command. */
import { describe, expect, it } from 'vitest';
import { cellOf, row, tableOf } from './decisions.fixture.ts';
import {
  abandoned,
  aggregated,
  evaluated,
  given,
  NOW,
  requested,
  roundClosed,
  roundOpened,
  sha,
  training as f,
  trainingSpec,
} from './facts.fixture.ts';
import { currentBase, isPaused, trainingMachine } from './trainingRun.ts';
import { decideTraining, type TrainingCommand } from './trainingDecision.ts';

const at = (...facts: Parameters<typeof given>[1]) => given(trainingMachine, facts);
const decide = (state: ReturnType<typeof at>, command: TrainingCommand) => decideTraining(state, command, NOW);

const one = [f.opened(), f.closed(), f.aggregated()];
const states = {
  None: at(),
  between: at(f.requested, ...one),
  collecting: at(f.requested, ...one, f.opened(2)),
  closed: at(f.requested, ...one, f.opened(2), f.closed(2)),
  paused: at(f.requested, ...one, f.paused),
  'paused, collecting': at(f.requested, ...one, f.opened(2), f.paused),
  Ending: at(f.requested, ...one, f.stopped),
  Succeeded: at(f.requested, ...one, f.stopped, f.succeeded),
  Aborted: at(f.requested, f.aborted),
};
const columns = Object.keys(states);
const r = (text: string) => row(columns, text);

const commands: Record<string, TrainingCommand> = {
  request: { type: 'request', data: requested },
  openRound: { type: 'openRound', data: roundOpened(2) },
  closeRound: { type: 'closeRound', data: roundClosed(2) },
  recordAggregate: { type: 'recordAggregate', data: aggregated(2) },
  recordEvaluation: { type: 'recordEvaluation', data: evaluated() },
  abandonRound: { type: 'abandonRound', data: abandoned(2) },
  pause: { type: 'pause', data: { reason: 'night', by: 'key_1' } },
  resume: { type: 'resume', data: { reason: null, by: 'key_1' } },
  stop: { type: 'stop', rule: 'manual', counted: 1 },
  abort: { type: 'abort', reason: 'wrong data', counted: 1 },
  finish: { type: 'finish' },
};

describe('trainingRun@1, every state × command', () => {
  it('holds what docs/design/learning.md "The machine" says', () => {
    const never = 'state roundsLeft nextRound base';
    const late = 'state nextAttempt'; // attempt 1 of round 2 is open already
    // prettier-ignore
    const expected = {
      //                  None | between | collecting | closed | paused | paused, collecting | Ending | Succeeded | Aborted
      request:          r('✓   |         |            |        |        |                    |        |           |  '),
      openRound:        r(`${never} | ✓  | ${late}    | ${late} |       | ${late}            |        |           | state nextRound base`),
      closeRound:       r('    |         | ✓          |        |        | ✓                  |        |           |  '),
      recordAggregate:  r('    |         |            | ✓      |        |                    |        |           |  '),
      recordEvaluation: r('    | ✓       |            |        | ✓      |                    |        |           |  '),
      abandonRound:     r('    |         | ✓          | ✓      |        | ✓                  |        |           |  '),
      pause:            r('    | ✓       | ✓          | ✓      | =      | =                  |        |           |  '),
      resume:           r('    | =       | =          | =      | ✓      | ✓                  |        |           |  '),
      stop:             r('    | ✓       | ✓          | ✓      | ✓      | ✓                  | =      | =         |  '),
      abort:            r('    | ✓       | ✓          | ✓      | ✓      | ✓                  | ✓      |           | ='),
      finish:           r('state roundsIn aggregated | roundsIn | roundsIn | roundsIn | roundsIn | roundsIn | ✓ | = | state roundsIn aggregated'),
    };
    expect(tableOf(states, commands, decide)).toEqual(expected);
  });
});

describe('guards of trainingRun@1', () => {
  it('the next round trains on the last aggregate, in order', () => {
    expect(currentBase(states.between.context)).toBe(sha('e'));
    const wrong = { ...roundOpened(2), base_sha: sha('a') };
    expect(cellOf(decide(states.between, { type: 'openRound', data: wrong }))).toBe('base');
    const skips = { ...roundOpened(2), round: 3 };
    expect(cellOf(decide(states.between, { type: 'openRound', data: skips }))).toBe('nextRound');
  });

  it('an evaluated run opens no round before the last one is evaluated', () => {
    const spec = { ...trainingSpec, evaluation: { set: sha('5') } };
    const asked = { type: 'TrainingRequested', data: { ...requested, spec } } as const;
    const open = { type: 'openRound', data: roundOpened(2) } as const;
    expect(cellOf(decide(at(asked, ...one), open))).toBe('evaluated');
    expect(cellOf(decide(at(asked, ...one, f.evaluated()), open))).toBe('✓');
  });

  it('a round closes at its quorum, and only the round that is open', () => {
    const close = (data: ReturnType<typeof roundClosed>) => decide(states.collecting, { type: 'closeRound', data });
    expect(cellOf(close(roundClosed(2, 1, 1)))).toBe('quorum');
    expect(cellOf(close(roundClosed(2, 1, 2)))).toBe('✓');
    expect(cellOf(close(roundClosed(1, 1)))).toBe('state');
    expect(cellOf(close(roundClosed(2, 2)))).toBe('state');
  });

  it('an abandoned round opens again as the next attempt, and misses in a row end with an aggregate or a resume', () => {
    const missed = at(f.requested, f.opened(), f.abandoned(), f.opened(1, 2), f.abandoned(1, 2));
    expect(missed.context).toMatchObject({ attempts: 2, missedInRow: 2, abandoned: 2, current: null });
    const third = { type: 'openRound', data: roundOpened(1, 3) } as const;
    expect(cellOf(decide(missed, third))).toBe('✓');
    const resumed = at(f.requested, f.opened(), f.abandoned(), f.paused, f.resumed);
    expect(resumed.context).toMatchObject({ missedInRow: 0, attempts: 1 });
  });

  it('the last round is the last: then the run finishes by rule `rounds`', () => {
    const done = at(f.requested, ...one, f.opened(2), f.closed(2), f.aggregated(2));
    expect(cellOf(decide(done, { type: 'openRound', data: roundOpened(3) }))).toContain('roundsLeft');
    const finished = decide(done, { type: 'finish' });
    expect(finished).toMatchObject({
      facts: [
        { type: 'TrainingStopped', data: { rule: 'rounds', selected_round: 2 } },
        { type: 'TrainingSucceeded', data: { selected_round: 2, model_sha: sha('e') } },
      ],
    });
  });

  it('stop abandons the open round; with nothing aggregated it is an abort', () => {
    expect(decide(states.collecting, commands['stop']!)).toMatchObject({
      facts: [{ type: 'RoundAbandoned', data: { round: 2, reason: 'stopped' } }, { type: 'TrainingStopped' }],
    });
    expect(decide(at(f.requested, f.opened()), commands['stop']!)).toMatchObject({
      facts: [{ type: 'RoundAbandoned' }, { type: 'TrainingAborted', data: { reason: 'no_round' } }],
    });
  });

  it('a pause lets the round that collects close and be aggregated, and opens no other', () => {
    const closed = at(f.requested, f.opened(), f.paused, f.closed());
    expect(cellOf(decide(closed, { type: 'recordAggregate', data: aggregated() }))).toBe('✓');
    expect(isPaused(closed)).toBe(true);
    expect(cellOf(decide(states.paused, { type: 'openRound', data: roundOpened(2) }))).toBe('state');
  });

  it('a round is evaluated once', () => {
    const twice = at(f.requested, ...one, f.evaluated());
    expect(cellOf(decide(twice, { type: 'recordEvaluation', data: evaluated() }))).toBe('state');
  });
});
