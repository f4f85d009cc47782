/* Those who walk no route: people with rights to push, a forge that answers late or wrong, the clock. */

active proctype people() {
end:
  do
  :: atomic { events > 0 && !finishing ->
       events--;
       if
       :: head == 2 -> head = 3; printf("people: the source moves on\n") /* the source moves on */
       :: policy == 1 -> policy = 2; printf("people: the policy changes\n")
       :: vers < 3 -> vers++; catver = vers; printf("people: a run publishes\n") /* a scheduled run publishes */
       :: unback -> unback = 0; printf("people: the back-port is in\n") /* the back-port is in */
       :: cref != 0 -> cref = 0; printf("people: the candidate is deleted\n") /* somebody deletes the candidate */
       :: made < NC -> new_commit(5, tip, 0, I_FORWARD); tip = made - 1; printf("people: a push to the branch\n")
       :: par[tip] != 0 -> tip = par[tip]; forced = 1; printf("people: a forced push\n")
       :: cref != 0 && !merged[cref] && made < NC -> /* the button, pressed by a person */
          if
          :: par[cref] == tip -> new_commit(tree[cref], tip, cref, intent[cref])
          :: else -> new_commit(MIX, tip, cref, intent[cref])
          fi; merged[cref] = 1; tip = made - 1; printf("people: the button\n")
       fi }
  od
}

active proctype time() {
end:
  do
  :: atomic { expiries > 0 && lholder != 0 && !lover && !finishing -> expiries--; lover = LEASES_END; printf("time: the lease is over\n") }
  od
}

active proctype network() {
  byte jpol, me; bit wrong = 0;
end:
  do
  :: atomic { fkind == 1 ->
       if
       :: d_step { printf("network: the push arrives late\n"); try_push(LATE_PUSH, fwho, fcand, fbase, ffence, fmoves, fver, fpol) }
       :: skip /* it never arrives */
       fi; d_step { fkind = 0; fwho = 0; fcand = 0; fbase = 0; ffence = 0; fmoves = 0; fver = 0; fpol = 0 } }
  :: atomic { fkind == 2 ->
       if
       :: d_step { printf("network: the press arrives late\n"); try_press(LATE_PRESS, fcand) }
       :: skip
       fi; d_step { fkind = 0; fcand = 0 } }
  od
}

/* When all have ended and nothing is under way, the next job comes, and nothing disturbs it any more. */
inline at_the_end() {
  must(all_ends_well, tip == rec || tip == inc);
  must(all_ends_well, cat == tree[rec] && shown == recno && told == recno && (lholder == 0 || lover))
}
