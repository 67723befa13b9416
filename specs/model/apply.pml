/* One occurrence of a send: at most one generation of it is ever delivered.
 *
 * Two workers without a lock, a journal that may be lost, crashes, pauses of any length, a network that loses requests
 * and answers. LINE remembers a retry key for TTL ticks after it took it; a tick is TTL/6, four hours. A request that
 * was cleared to leave arrives within IDLE ticks or never. The window of the occurrence is [0, W].
 *
 * The claim needs W + IDLE < TTL and says nothing of locks or of the number of workers.
 *
 * Each of these takes one protection away; a violation is then expected:
 *   NO_WINDOW    requests leave at any time
 *   FRESH_KEY    a key for each attempt
 *   RANDOM_KEY   a key is drawn, written down first, and lost with the journal
 *   AFTER_TIMEOUT  a request without an answer is made under the next generation
 *   RECONNECT    the connection is opened anew below the protocol, and the request written again, at any time
 *   BLIND        the generation rises by one, whatever it is by now
 */

#ifndef W
#define W 3
#endif
#ifndef IDLE
#define IDLE 1
#endif
#ifndef TTL
#define TTL 6
#endif
#ifndef GENERATIONS
#define GENERATIONS 2
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#define HORIZON (TTL + 2)
#define KEYS 6
#define NONE 255

/* What the journal says of the newest generation. */
#define NOTHING 0
#define INTENT 1
#define TAKEN 2
#define OVER 3

/* What became of a request that LINE took. */
#define DELIVERED 1
#define FAILED 2

byte now = 0;

/* LINE */
byte remembers[KEYS];
byte outcome[KEYS];
byte delivered = 0;

/* the journal */
byte state = NOTHING;
byte generation = 0;
byte key_kept = NONE;

byte crashes = 0;
byte losses = 0;
byte drawn = 0;

#ifdef NO_WINDOW
#define OPEN true
#else
#define OPEN (now <= W)
#endif

/* A request arrives at LINE. Always within an atomic sequence. */
inline take(k) {
	if
	:: remembers[k] > 0 -> skip
	:: remembers[k] == 0 ->
		remembers[k] = TTL;
		if
		:: outcome[k] = DELIVERED; delivered++
		:: outcome[k] = FAILED
		fi
	fi;
	assert(delivered <= 1)
}

/* The key of an attempt; within an atomic sequence. */
inline draw() {
#ifdef FRESH_KEY
	k = drawn; drawn = (drawn + 1 < KEYS -> drawn + 1 : drawn)
#else
#ifdef RANDOM_KEY
	if
	:: key_kept == NONE -> k = drawn; drawn = (drawn + 1 < KEYS -> drawn + 1 : drawn); key_kept = k
	:: key_kept != NONE -> k = key_kept
	fi
#else
	k = g
#endif
#endif
}

/* A process ends anywhere; the next one knows only the journal. Each label is a place where others may run. */
#define CRASH atomic { crashes < CRASHES -> crashes++; g = 0; k = 0; until = 0 } -> goto again

proctype Worker() {
	byte g = 0;
	byte k = 0;
	byte until = 0;

again:
	/* The intent is durable before the request leaves. */
	if
	:: atomic { state == NOTHING -> g = generation; state = INTENT }
	:: atomic { state == INTENT -> g = generation }
#if !defined(FRESH_KEY) && !defined(RANDOM_KEY)
	:: atomic { state == TAKEN -> g = generation; k = g } -> goto follow
#endif
	:: atomic { now > HORIZON - 1 } -> goto done
	fi;

ask:
	/* The last look at the window, over a connection that stands. */
	if
	:: atomic { OPEN -> until = now + IDLE; draw() }
	:: atomic { !OPEN -> g = 0 } -> goto done
	:: CRASH
	fi;

	/* A pause of any length may come here. */
	if
	:: atomic { now <= until -> take(k); until = 0 } -> goto record
	:: atomic { now <= until -> take(k); until = 0 } -> goto silence
	:: atomic { true -> until = 0 } -> goto silence
#ifdef RECONNECT
	:: atomic { true -> take(k); until = 0 } -> goto record
#endif
	:: CRASH
	fi;

silence:
	/* No answer: whether LINE took it is not known. The same key again. */
#ifdef AFTER_TIMEOUT
	if
	:: atomic { g + 1 < GENERATIONS -> g++; generation = g; state = INTENT }
	:: g + 1 >= GENERATIONS
	fi;
#endif
	goto ask;

record:
	/* Losing this race is fine: somebody recorded the same. */
	if
	:: atomic { generation == g && state == INTENT -> state = TAKEN }
	:: atomic { generation != g || state != INTENT -> skip }
	:: CRASH
	fi;

follow:
	if
	:: atomic { outcome[k] == FAILED && g + 1 < GENERATIONS ->
		/* LINE itself says that nobody got it: only now there may be another generation. */
		k = 0; until = 0 } -> goto rise
	:: atomic { !(outcome[k] == FAILED && g + 1 < GENERATIONS) ->
		if
		:: generation == g -> state = OVER
		:: generation != g -> skip
		fi } -> goto done
	:: CRASH
	fi;

rise:
#ifdef BLIND
	if
	:: atomic { generation + 1 < GENERATIONS -> generation++; state = INTENT; g = 0 }
	:: atomic { generation + 1 >= GENERATIONS -> g = 0 }
	fi;
#else
	if
	:: atomic { generation == g -> generation = g + 1; state = INTENT; key_kept = NONE; g = 0 }
	:: atomic { generation != g -> g = 0 }
	fi;
#endif
	goto again;

done:
	skip
}

proctype Clock() {
	byte i;
	do
	:: now < HORIZON ->
		d_step {
			now++;
			i = 0;
			do
			:: i < KEYS -> remembers[i] = (remembers[i] > 0 -> remembers[i] - 1 : 0); i++
			:: else -> break
			od;
			i = 0
		}
	:: else -> break
	od
}

/* The journal is gone: a disk, a deleted file. */
proctype Loss() {
	do
	:: losses < LOSSES -> d_step { losses++; state = NOTHING; generation = 0; key_kept = NONE }
	:: true -> break
	od
}

init {
	atomic { run Worker(); run Worker(); run Clock(); run Loss() }
}
