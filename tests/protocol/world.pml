/* What stands around a promotion: one environment with its branch, the ledger, the forge, and who meddles.
 * Only what the effects do is written here. Their order, what they compare and where each answer leads are
 * written by `writing.py` from gitkitchen.promote.protocol, behind this text. One step is one indivisible act. */

#define MIX 9                    /* the tree of a merge that is nobody's */
#define GOOD 1
#define BAD 2

byte tree[NC], par[NC], via[NC], intent[NC];
byte made = 2;
byte tip = 1, head = 2, policy = 1, vers = 1;
byte cref;                       /* the branch of candidates; 0: there is none */
bit merged[NC];                  /* the forge presses a button once */

/* the ledger */
byte ev[NC], evbase[NC], evpol[NC], evver[NC];
byte moves, rec = 1, cat = 1, catver = 1, recno = 1, inc, acc = 1;
bit recd[NC], held, unback;
byte lfence, lholder;
bit lover;                       /* the lease's holder is dead, or its time is over */

/* derived, and what people were told */
byte shown = 1, told = 1;

/* one push or press that is still under way */
byte fkind, fwho, fcand, fbase, ffence, fmoves, fver, fpol, fintent;

/* how often what may happen */
byte crashes = CRASHES, lost = LOSTS, expiries = EXPIRIES, events = EVENTS, bugs = BUGS, retries = RETRIES;
byte running;
bit finishing;

/* ghosts: what is only looked at by the properties */
bit refusedly[NC];               /* it was said of this candidate that nothing was changed */
bit ours[NC];                    /* candidates that our own hand landed */
bit rolledback, forced;           /* forced: somebody took commits off the branch by hand */
byte won[NC];                    /* the landing that was recorded on this tip */

/* the properties, each named by what must be true */
bit published_was_tested = 1, published_has_landed = 1, published_is_not_older = 1, judged_by_this_policy = 1,
    held_takes_no_forward = 1, rollback_is_not_undone = 1, one_winner = 1, losers_change_nothing = 1,
    claimed_is_recorded = 1, backport_comes_first = 1, views_go_forward = 1, all_ends_well = 1,
    commits_of_others_stay = 1, the_table_expects_it = 1;

hidden byte i, j, found, out, askedver, askedpol, askedof;

#define HAS(mask, fact) (((mask) & (fact)) != 0)
#define FENCED (lholder == me && lfence == fence)
#define must(property, truth) property = property && (truth); assert(property)

inline in_history(c, from) {     /* out: whether c is in the first-parent history of from */
  i = from; out = 0;
  do
  :: i == 0 -> break
  :: i != 0 && i == c -> out = 1; break
  :: else -> i = par[i]
  od; i = 0
}

inline tested(c, v, p) {         /* out: whether the ledger holds good evidence for c; v, p: 0 is any */
  in_history(acc, c); found = out; out = 0; j = 1;
  do
  :: j == NC -> break
  :: else ->
     if
     :: ev[j] == GOOD && tree[j] == tree[c] && (evbase[j] == par[c] || (found && evbase[j] == acc)) && (v == 0 || evver[j] == v) && (p == 0 || evpol[j] == p) -> out = 1; break
     :: else -> j++
     fi
  od; j = 0; found = 0
}

inline new_commit(its_tree, its_parent, its_candidate, its_intent) {
  tree[made] = its_tree; par[made] = its_parent; via[made] = its_candidate; intent[made] = its_intent; made++
}

inline gates(c) {                /* out: whether every gate lets c land */
  if
  :: intent[c] == I_ROLLBACK && !keeping -> out = 1
  :: intent[c] != I_FORWARD && keeping -> in_history(acc, c)
  :: intent[c] == I_HOTFIX && !keeping -> out = (par[c] == acc)
  :: intent[c] == I_FORWARD -> in_history(acc, c); out = out && !held && !unback && !(inc && !keeping) && (keeping || par[c] == acc)
  fi
}

/* --- what a landing is held to ------------------------------------------------------------------------- */

inline landed(c) {        /* our own hand moved the branch to c */
  askedof = c;
  if
  :: via[c] -> askedof = via[c]
  :: else
  fi;
  must(losers_change_nothing, !refusedly[askedof]);
  must(held_takes_no_forward, !(held && intent[c] == I_FORWARD));
  must(commits_of_others_stay, par[c] == tip);
  ours[askedof] = 1; tip = c
}

inline publish(c, pol) {         /* the record of a landing: tree, catalog and evidence in one */
  in_history(c, tip);
  must(published_has_landed, out || forced);
  tested(c, 0, 0);
  must(published_was_tested, out);
  tested(c, vers, 0);
  must(published_is_not_older, out);
  tested(c, 0, pol);
  must(judged_by_this_policy, out);
  must(held_takes_no_forward, !(held && intent[c] == I_FORWARD));
  must(rollback_is_not_undone, !(rolledback && intent[c] == I_FORWARD));
  must(backport_comes_first, !(unback && intent[c] == I_FORWARD));
  must(one_winner, !recd[c] && (won[par[c]] == 0 || forced));
  won[par[c]] = c; recd[c] = 1; rec = c; cat = tree[c]; catver = vers; recno++; moves++; inc = 0; acc = c;
  if
  :: intent[c] == I_HOTFIX -> unback = 1
  :: intent[c] == I_ROLLBACK -> rolledback = 1
  :: else
  fi
}

inline try_push(mask, who, c, b, f, m, v, p) {      /* found: whether it was applied */
  if
  :: (HAS(mask, F_BASE) && tip != b) || (HAS(mask, F_FENCE) && !(lholder == who && lfence == f)) || (HAS(mask, F_MOVES) && moves != m) || (HAS(mask, F_VERSIONS) && vers != v) -> found = 0
  :: else -> landed(c); publish(c, p); found = 1
  fi
}

inline try_press(mask, c) {      /* found: whether the forge merged; it compares the head and nothing else */
  if
  :: (HAS(mask, F_CANDIDATE) && cref != c) || cref == 0 || merged[cref] || made == NC -> found = 0
  :: else ->
     if
     :: par[cref] == tip && !wrong -> new_commit(tree[cref], tip, cref, intent[cref])
     :: else -> new_commit(MIX, tip, cref, intent[cref])
     fi;
     merged[cref] = 1; j = made - 1; landed(j); j = 0; found = 1
  fi
}

/* --- the effects, by the names of the table; each sets `ans` --------------------------------------------- */

inline e_look(mask) {
  base = tip; cref0 = cref; pol0 = policy; ver0 = vers; ans = A_REFUSED;
  if
  :: made == NC -> skip          /* no room left in the model */
  :: else ->
     if
     :: purpose == I_FORWARD -> src = head
     :: else
     fi;
     cand = made; new_commit(src, tip, 0, purpose); ans = A_DONE
  fi
}

inline e_push_candidate(mask) {
  if
  :: HAS(mask, F_CANDIDATE) && cref != cref0 -> ans = A_MOVED
  :: else -> cref = cand; ans = A_DONE
  fi
}

inline e_record_evidence(mask) {
  ev[cand] = res; evpol[cand] = pol0; evver[cand] = ver0;
  if
  :: keeping -> in_history(acc, cand);
     if
     :: out -> evbase[cand] = acc
     :: else -> evbase[cand] = par[cand]
     fi
  :: else -> evbase[cand] = par[cand]
  fi;
  ans = A_DONE
}

inline e_judge(mask) {
  if
  :: (HAS(mask, F_BASE) && tip != base) || (HAS(mask, F_HEAD) && purpose == I_FORWARD && head != src) || (HAS(mask, F_POLICY) && policy != pol0) || (HAS(mask, F_VERSIONS) && vers != ver0) || (HAS(mask, F_FENCE) && !FENCED) || (HAS(mask, F_MOVES) && moves != mv) -> ans = A_MOVED
  :: else ->
     askedver = vers * HAS(mask, F_VERSIONS); askedpol = policy * HAS(mask, F_POLICY);
     tested(cand, askedver, askedpol);
     found = out || !HAS(mask, F_EVIDENCE);
     gates(cand);
     if
     :: found && (out || !HAS(mask, F_GATES)) -> ans = A_DONE; mv = moves; jpol = policy
     :: else -> ans = A_REFUSED
     fi
  fi
}
#define e_judge_again e_judge

inline e_take_lease(mask) {
  if
  :: lholder != 0 && !lover -> ans = A_REFUSED
  :: else -> lfence++; lholder = me; lover = 0; fence = lfence; ans = A_DONE;
     if
     :: purpose == I_HOLD -> mv = moves
     :: else
     fi
  fi
}

inline e_renew_lease(mask) {
  if
  :: HAS(mask, F_FENCE) && !FENCED -> ans = A_MOVED
  :: else -> lfence++; lholder = me; lover = 0; fence = lfence; ans = A_DONE
  fi
}

inline e_give_back_lease(mask) {
  if
  :: FENCED -> lholder = 0; lover = 0
  :: else
  fi;
  fence = 0; ans = A_DONE
}

inline e_void_candidate(mask) {
  if
  :: HAS(mask, F_CANDIDATE) && cref != cand -> ans = A_MOVED
  :: else -> cref = 0; ans = A_DONE
  fi
}

inline e_clear_candidates(mask) {
  cref = 0; ans = A_DONE
}

inline unguarded(mask) {         /* out: whether a record's conditions do not hold */
  out = (HAS(mask, F_FENCE) && !FENCED) || (HAS(mask, F_MOVES) && moves != mv) || (HAS(mask, F_VERSIONS) && vers != ver0)
}

inline e_record_hold(mask) {
  unguarded(mask);
  if
  :: out -> ans = A_MOVED
  :: else -> held = 1; moves++; mv = moves; ans = A_DONE
  fi
}

inline e_record_incident(mask) {
  unguarded(mask);
  if
  :: out -> ans = A_MOVED
  :: else -> inc = mine; acc = mine; moves++; mv = moves; ans = A_DONE
  fi
}

inline e_record_move(mask) {
  unguarded(mask);
  if
  :: out -> ans = A_MOVED
  :: else -> publish(mine, jpol); mv = moves; myno = recno; ans = A_DONE
  fi
}

inline e_atomic_push(mask) {
  mine = cand;
  try_push(mask, me, cand, base, fence, mv, ver0, jpol);
  if
  :: found -> myno = recno; mv = moves; ans = A_DONE
  :: else -> ans = A_MOVED
  fi
}

inline e_merge_button(mask) {
  try_press(mask, cand);
  if
  :: found -> ans = A_DONE
  :: else -> ans = A_MOVED
  fi
}

inline e_move_branch(mask) {
  if
  :: (HAS(mask, F_BASE) && tip != base) || (HAS(mask, F_CANDIDATE) && cref != cand) -> ans = A_MOVED
  :: else -> landed(cand); ans = A_DONE
  fi
}

inline e_read_back(mask) {       /* ours is the candidate itself, or the merge of it */
  mine = 0; j = 1; ans = A_NOT_LANDED;
  do
  :: j == NC -> break
  :: j != NC && (j == cand || via[j] == cand) && recd[j] -> mine = j; ans = A_RECORDED; break
  :: else ->
     if
     :: j == cand || via[j] == cand ->
        in_history(j, tip);
        if
        :: out && HAS(mask, F_TREE) && (tree[j] != tree[cand] || par[j] != par[cand]) ->
           mine = j; ans = A_MOVED
        :: out && !(HAS(mask, F_TREE) && (tree[j] != tree[cand] || par[j] != par[cand])) ->
           mine = j; ans = A_DONE
        :: else
        fi
     :: else
     fi;
     j++
  od; j = 0;
  if
  :: ans == A_RECORDED -> myno = recno
  :: else
  fi
}

inline e_show_views(mask) {
  if
  :: HAS(mask, F_STAMP) && shown > myno -> ans = A_MOVED
  :: else -> must(views_go_forward, myno >= shown); shown = myno; ans = A_DONE
  fi
}

inline e_report_landed(mask) {
  must(claimed_is_recorded, recd[mine]);
  if
  :: told < myno -> told = myno
  :: else
  fi;
  ans = A_DONE
}

inline e_look_for_work(mask) {
  base = tip; cand = tip; mine = tip; pol0 = policy; ver0 = vers; myno = recno; mv = moves;
  if
  :: shown != recno -> mine = rec; ans = A_UNSHOWN
  :: shown == recno && told != recno -> mine = rec; ans = A_UNTOLD
  :: shown == recno && told == recno && (tip == rec || tip == inc) -> ans = A_CLEAN
  :: else ->
     in_history(acc, tip);
     if
     :: out -> tested(tip, vers, policy)
     :: else -> out = 1          /* what was recorded is gone: that is work, too */
     fi;
     if
     :: proves || out -> ans = A_DONE
     :: else -> ans = A_UNPROVED
     fi
  fi
}
